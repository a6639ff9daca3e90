import { describe, expect, it } from "vitest";
import { Path } from "../../src/connection/path.ts";
import {
  CLIENT_ADDRESS,
  datagramsFrom,
  establishedDatagramServer,
  describe as nameOf,
  OTHER_ADDRESS,
} from "../support/datagrams.ts";
import { after, filled, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { eventsFrom } from "../support/streams.ts";

const AWAY = OTHER_ADDRESS;
const HOME = CLIENT_ADDRESS;

describe("a path", () => {
  it("is proven from the start, by the handshake's cookie, and carries anything then", () => {
    const path = new Path(HOME);
    expect([path.isProven, path.address, path.timeout]).toEqual([true, HOME, undefined]);
    expect(path.spend(1_000_000)).toBe(true);
    path.noteReceived(1);
    expect(path.prove(0)).toBeUndefined();
    expect(path.returnWhenDue(after(1_000_000))).toBe(false);
  });

  it("to another address carries 1.6 times what came from there until it has proven itself", () => {
    const path = new Path(HOME);
    path.move(AWAY, 7, START);
    expect([path.isProven, path.address]).toEqual([false, AWAY]);
    expect(path.spend(1)).toBe(false);
    path.noteReceived(100);
    expect([path.spend(100), path.spend(61), path.spend(60), path.spend(1)]).toEqual([true, false, true, false]);
  });

  it("is proven by the acknowledgement of a frame that was first sent there, not of one from before", () => {
    const path = new Path(HOME);
    path.move(AWAY, 7, START);
    expect(path.prove(6)).toBeUndefined();
    expect(path.prove(7)).toBe(HOME);
    expect([path.isProven, path.spend(10_000)]).toEqual([true, true]);
  });

  it("returns to the proven address after ten silent seconds", () => {
    const path = new Path(HOME);
    path.move(AWAY, 7, START);
    expect(path.timeout).toBe(after(10_000));
    expect(path.returnWhenDue(after(9_999))).toBe(false);
    expect(path.returnWhenDue(after(10_000))).toBe(true);
    expect([path.isProven, path.address]).toEqual([true, HOME]);
  });

  it("that goes back to the proven address by itself needs no new proof", () => {
    const path = new Path(HOME);
    path.move(AWAY, 7, START);
    path.move(HOME, 8, START);
    expect([path.isProven, path.timeout]).toEqual([true, undefined]);
  });
});

describe("a server whose peer moved", () => {
  const moved = () => {
    const subject = establishedDatagramServer();
    subject.give(subject.raw.seal("DATA", 0, ascii("x")), START, AWAY);
    const [utack, ping] = datagramsFrom(subject.machine);
    eventsFrom(subject.machine);
    return { ...subject, utack: utack?.data as Uint8Array, ping: ping?.data as Uint8Array };
  };

  it("sends no bulk there before the peer answered from there, then all of it", () => {
    const { machine, raw, give, ping } = moved();
    machine.send(filled(452, 1), START);
    machine.handleTimeout(after(400));
    expect(datagramsFrom(machine)).toEqual([]);
    give(raw.utack(ping), after(450), AWAY);
    expect(datagramsFrom(machine).map(({ data, to }) => [nameOf(data), to])).toEqual([["DATA", AWAY]]);
  });

  it("never sends more there than 1.6 times what came from there, however much is outstanding", () => {
    const { machine, raw, give } = establishedDatagramServer();
    machine.send(filled(452, 1), START);
    datagramsFrom(machine);
    const frame = raw.seal("PING", 0);
    give(frame, START, AWAY);
    let bytes = 0;
    for (let ms = 0; ms <= 2_900; ms += 100) {
      machine.handleTimeout(after(ms));
      for (const { data, to } of datagramsFrom(machine)) if (to === AWAY) bytes += data.length;
    }
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(1.6 * frame.length + 15);
  });

  it("sends again at once what had to wait for the proof", () => {
    const { machine, raw, give } = establishedDatagramServer();
    machine.send(filled(452, 1), START);
    const [data] = datagramsFrom(machine);
    give(raw.seal("DATA", 0, filled(60, 1)), after(100), AWAY);
    const ping = datagramsFrom(machine).at(-1)?.data as Uint8Array;
    give(raw.utack(ping), after(200), AWAY);
    expect(datagramsFrom(machine)).toEqual([{ data: data?.data, to: AWAY }]);
  });

  it("goes back home, and says so, when the other address stays silent: whoever copied a frame from there gains ten seconds", () => {
    const { machine } = moved();
    machine.send(ascii("for the true peer"), START);
    machine.handleTimeout(after(10_000));
    expect(eventsFrom(machine)).toEqual([{ type: "moved", from: AWAY, to: HOME, proven: true }]);
    expect(datagramsFrom(machine).filter(({ to }) => to === HOME).length).toBeGreaterThan(0);
  });

  it("is won back at once by the true peer's next frame, and needs no proof there", () => {
    const { machine, raw, give } = moved();
    machine.send(ascii("bulk"), START);
    give(raw.seal("DATA", 1, ascii("y")), after(10), HOME);
    expect(eventsFrom(machine)).toContainEqual({ type: "moved", from: AWAY, to: HOME, proven: true });
    expect(datagramsFrom(machine).map(({ data, to }) => [nameOf(data), to])).toContainEqual(["DATA", HOME]);
  });

  it("sends its PING again with each sign of life from there, within what came from there", () => {
    const { machine, raw, give, ping } = moved();
    const again = raw.seal("DATA", 0, ascii("x"));
    give(again, after(50), AWAY);
    expect(datagramsFrom(machine).map(({ data }) => nameOf(data))).toEqual(["UTACK of DATA", "PING"]);
    give(raw.seal("DATA", 1), after(60), AWAY);
    expect(datagramsFrom(machine).map(({ data }) => data)).toContainEqual(ping);
  });

  it("inside a message has the fragment on its way acknowledged instead, for no PING may stand between", () => {
    const { machine, raw, give } = establishedDatagramServer();
    machine.send(filled(500, 1), START);
    const [fragment] = datagramsFrom(machine);
    give(raw.seal("DATA", 0, ascii("x")), after(10), AWAY);
    expect(datagramsFrom(machine).map(({ data, to }) => [nameOf(data), to])).toEqual([
      ["UTACK of DATA", AWAY],
      ["DATA_FRAG", AWAY],
    ]);
    give(raw.seal("DATA", 0, ascii("x")), after(20), AWAY);
    expect(datagramsFrom(machine).map(({ data }) => nameOf(data))).toEqual(["UTACK of DATA"]);
    give(raw.utack(fragment?.data as Uint8Array), after(30), AWAY);
    expect(datagramsFrom(machine).map(({ data }) => nameOf(data))).toEqual(["DATA"]);
    expect(eventsFrom(machine)).toContainEqual({ type: "path-proven", from: HOME, address: AWAY });
  });

  it("waits with its PING where their pace demands it", () => {
    const { machine, raw, give } = establishedDatagramServer();
    for (let i = 0; i < 8; i++) {
      machine.ping(after(i));
      for (const { data } of datagramsFrom(machine)) if (nameOf(data) === "PING") give(raw.utack(data), after(i));
      give(raw.seal("PONG", i), after(i));
    }
    datagramsFrom(machine);
    give(raw.seal("DATA", 20, filled(100, 1)), after(10), AWAY);
    expect(datagramsFrom(machine).map(({ data }) => nameOf(data))).toEqual(["UTACK of DATA"]);
    machine.handleTimeout(after(1_200));
    expect(datagramsFrom(machine).map(({ data }) => nameOf(data))).toContain("PING");
  });

  it("takes no acknowledgement of an older frame for a proof", () => {
    const { machine, raw, give } = establishedDatagramServer();
    machine.send(ascii("sent home"), START);
    const [data] = datagramsFrom(machine);
    give(raw.seal("DATA", 0, ascii("x")), START, AWAY);
    eventsFrom(machine);
    give(raw.utack(data?.data as Uint8Array), START, AWAY);
    expect(eventsFrom(machine)).toEqual([{ type: "acknowledged", id: 0 }]);
  });
});
