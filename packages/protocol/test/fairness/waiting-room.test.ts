import { SeededRandom } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { type RoomLimits, WaitingRoom } from "../../src/fairness/waiting-room.ts";
import { after, START } from "../support/fixtures.ts";

const LIMITS: RoomLimits = {
  handshakes: 12,
  handshakesPerSource: 8,
  reservedHandshakes: 2,
  scarceHandshakeMs: 5_000,
  shortestHandshakeMs: 1_000,
};

function newRoom(limits: Partial<RoomLimits> = {}): WaitingRoom<string> {
  return new WaitingRoom({ ...LIMITS, ...limits });
}

/** Fills places of one source with a0, a1, ...; answers who gave way. */
function fill(room: WaitingRoom<string>, source: string, count: number, ms = 0): (string | undefined)[] {
  return Array.from({ length: count }, (_, i) => room.enter(`${source}${i}`, source, after(ms)));
}

describe("a waiting room", () => {
  it("makes the oldest of a source give way to a further one of that source, and to nobody else's", () => {
    const room = newRoom();
    expect(fill(room, "a", 8)).toEqual(Array(8).fill(undefined));
    expect(room.enter("a8", "a", START)).toBe("a0");
    expect(room.size).toBe(8);
    expect(room.enter("b0", "b", START)).toBeUndefined();
  });

  it("makes one of the source that has the most give way when it is full", () => {
    const room = newRoom();
    fill(room, "a", 7);
    fill(room, "b", 3);
    expect(["c0", "c1", "c2"].map((item) => room.enter(item, "c", START))).toEqual(["a0", "a1", "a2"]);
    expect(room.enter("c3", "c", START)).toBe("a3");
    expect(room.size).toBe(10);
  });

  it("of many sources with one each lets the oldest go", () => {
    const room = newRoom();
    const gone = Array.from({ length: 15 }, (_, i) => room.enter(`${i}`, `source ${i}`, START));
    expect(gone.slice(10)).toEqual(["0", "1", "2", "3", "4"]);
  });

  it("of one source lets the larger kind go, silent or known: the flood, and not who comes beside it", () => {
    const room = newRoom({ handshakesPerSource: 5 });
    room.enter("honest", "a", START);
    room.identify("honest", undefined, START);
    expect(fill(room, "a", 20).filter((gone) => gone !== undefined)).not.toContain("honest");

    const other = newRoom({ handshakesPerSource: 5 });
    for (let i = 0; i < 20; i++) {
      if (i === 10) other.enter("honest", "a", START);
      other.enter(`${i}`, "a", START);
      other.identify(`${i}`, undefined, START);
    }
    expect([...other.items()]).toContain("honest");
  });

  it("keeps places of proven pairs apart: no flood takes them, not even one of their own source", () => {
    const room = newRoom();
    room.enter("device", "a", START);
    room.identify("device", "device at a", START);
    fill(room, "a", 100);
    fill(room, "b", 100);
    expect([...room.items()]).toContain("device");
    expect(room.size).toBe(11);
    room.leave("device");
    expect(room.size).toBe(10);
  });

  it("keeps no more of them than are reserved, and four of one pair: others with its name are like all", () => {
    const room = newRoom({ handshakes: 20, reservedHandshakes: 6 });
    for (let i = 0; i < 6; i++) {
      room.enter(`x${i}`, "a", START);
      room.identify(`x${i}`, "x at a", START);
    }
    for (let i = 0; i < 3; i++) {
      room.enter(`y${i}`, "b", START);
      room.identify(`y${i}`, "y at b", START);
    }
    fill(room, "c", 100);
    expect([...room.items()].filter((item) => !item.startsWith("c"))).toEqual(
      expect.arrayContaining(["x0", "x1", "x2", "x3", "y0", "y1"]),
    );
    room.leave("x0");
    room.enter("x6", "a", START);
    room.identify("x6", "x at a", START);
    fill(room, "d", 100);
    fill(room, "e", 100);
    expect([...room.items()]).toContain("x6");
  });

  it("shrinks the time that a handshake may take as places run out, from five seconds to one", () => {
    const room = newRoom({ handshakes: 102, handshakesPerSource: 100 });
    const allowed = () => (room.timeout === undefined ? undefined : room.timeout - START);
    const seen: (number | undefined)[] = [];
    for (let i = 0; i < 100; i++) {
      room.enter(`${i}`, `source ${i}`, START);
      if ([49, 50, 74, 99].includes(i)) seen.push(allowed());
    }
    expect(seen).toEqual([undefined, 4_920, 3_000, 1_000]);
  });

  it("answers whose time is over, oldest first, and stops once places are free again", () => {
    const room = newRoom({ reservedHandshakes: 2 });
    fill(room, "a", 4, 0);
    fill(room, "b", 4, 100);
    for (const item of ["b0", "b1"]) room.identify(item, undefined, after(200));
    // Eight of ten: 5 s less three fifths of 4 s.
    expect(room.timeout).toBe(after(2_600));
    expect(room.takeOverdue(after(2_599))).toEqual([]);
    expect(room.takeOverdue(after(2_600))).toEqual(["a0"]);
    expect(room.takeOverdue(after(4_200))).toEqual(["a1", "a2"]);
    expect(room.timeout).toBeUndefined();
    expect(room.takeOverdue(after(60_000))).toEqual([]);
    expect(room.size).toBe(5);
  });

  it("counts the time of a peer whose HELLO came from its HELLO", () => {
    const room = newRoom({ handshakesPerSource: 100 });
    fill(room, "a", 10, 0);
    for (let i = 0; i < 10; i++) room.identify(`a${i}`, undefined, after(900));
    expect(room.timeout).toBe(after(1_900));
    expect(room.takeOverdue(after(1_900))).toEqual(["a0"]);
  });

  it("takes no notice of who is not there, or is known already", () => {
    const room = newRoom();
    room.identify("nobody", undefined, START);
    room.leave("nobody");
    room.enter("a", "a", START);
    room.identify("a", undefined, START);
    room.identify("a", "a at a", START);
    room.leave("a");
    room.leave("a");
    expect(room.size).toBe(0);
  });

  it("never holds more than it may, whatever comes, and holds nothing once all have left", () => {
    const random = new SeededRandom(20261124);
    const room = newRoom();
    const inside = new Set<string>();
    for (let i = 0; i < 5_000; i++) {
      const now = after(i * 10);
      const item = `${i}`;
      const gone = room.enter(item, `source ${random.int(6)}`, now);
      inside.add(item);
      if (gone !== undefined) inside.delete(gone);
      if (random.chance(0.5)) room.identify(item, random.chance(0.3) ? `pair ${random.int(3)}` : undefined, now);
      for (const overdue of room.takeOverdue(now)) inside.delete(overdue);
      if (random.chance(0.3)) {
        const leaving = random.pick([...inside]);
        room.leave(leaving);
        inside.delete(leaving);
      }
      expect(room.size).toBeLessThanOrEqual(12);
      expect([...room.items()].sort()).toEqual([...inside].sort());
    }
    for (const item of inside) room.leave(item);
    expect([room.size, room.timeout]).toEqual([0, undefined]);
  });
});
