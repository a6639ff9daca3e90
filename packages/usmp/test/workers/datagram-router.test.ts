import { instant } from "@usmp/protocol";
import { describe, expect, test } from "vitest";
import { DatagramRouter } from "../../src/workers/datagram-router.ts";

const NOW = instant(0);
const WORKERS = 4;

/** Ids whose first byte is the worker's number. */
function router(self: number, shared: boolean): DatagramRouter {
  return new DatagramRouter({ self, count: WORKERS, shared, ownerOf: (id) => id[0] as number }, NOW);
}

const addresses = Array.from({ length: 400 }, (_, i) => `192.0.2.${i % 250} ${40_000 + i}`);

describe("a session frame that no session here knows", () => {
  test("goes to the worker that its session id names, once", () => {
    const second = router(1, true);
    expect(second.forSession(Uint8Array.of(3), 0)).toBe(3);
    expect(second.forSession(Uint8Array.of(1), 0), "ours, and over").toBeUndefined();
    expect(second.forSession(Uint8Array.of(3), 1), "it was sent on already").toBeUndefined();
  });
});

describe("where all read one socket", () => {
  test("each address has one home that all agree on, and homes are shared out", () => {
    const routers = Array.from({ length: WORKERS }, (_, self) => router(self, true));
    const homes = addresses.map((address) => new Set(routers.map((each) => each.homeOf(address))));
    expect(homes.every((agreed) => agreed.size === 1)).toBe(true);
    for (let worker = 0; worker < WORKERS; worker++) {
      expect(homes.filter((agreed) => agreed.has(worker)).length).toBeGreaterThan(addresses.length / WORKERS / 2);
    }
  });

  test("an address whose home is gone has another one until it is back", () => {
    const first = router(0, true);
    const before = addresses.map((address) => first.homeOf(address));
    first.setAlive([3, 0, 1]);
    expect(addresses.map((address) => first.homeOf(address))).not.toContain(2);
    first.setAlive([0, 1, 2, 3]);
    expect(addresses.map((address) => first.homeOf(address))).toEqual(before);
  });

  test("a proof or a UTACK goes home, and from there to whoever claimed its address, else to all others, and no further", () => {
    const address = addresses.find((each) => router(0, true).homeOf(each) === 2) as string;
    expect(router(0, true).forAddress(address, 0, 0, NOW)).toEqual([2]);
    const home = router(2, true);
    expect(home.forAddress(address, 1, 0, NOW)).toEqual([1, 3]);
    home.claim(address, 3);
    expect(home.forAddress(address, 1, 0, NOW)).toEqual([3]);
    expect(home.forAddress(address, 0, 2, NOW)).toEqual([3]);
    expect(router(3, true).forAddress(address, 2, 2, NOW)).toEqual([]);
    expect(router(1, true).forAddress(address, 1, 0, NOW), "no ping-pong between two that disagree").toEqual([]);
  });
});

describe("where each has a socket of its own", () => {
  test("every address is at home where it is read", () => {
    for (const address of addresses) expect(router(1, false).homeOf(address)).toBe(1);
  });

  test("what nothing waits for is asked about, a thousand times a second at most, until its worker is known", () => {
    const second = router(1, false);
    const ask = (atMs: number): readonly number[] => second.forAddress("192.0.2.1 40000", 0, 1, instant(atMs));
    for (let i = 0; i < 1_000; i++) expect(ask(0)).toEqual([0, 2, 3]);
    expect(ask(0)).toEqual([]);
    expect(ask(1_000)).toEqual([0, 2, 3]);
    second.claim("192.0.2.1 40000", 3);
    for (let i = 0; i < 2_000; i++) expect(ask(1_000)).toEqual([3]);
  });

  test("claims are bounded; the oldest is forgotten", () => {
    const second = router(1, false);
    for (let i = 0; i <= 65_536; i++) second.claim(`192.0.2.1 ${i}`, 2);
    expect(second.forAddress("192.0.2.1 0", 0, 1, NOW)).toEqual([0, 2, 3]);
    expect(second.forAddress("192.0.2.1 1", 0, 1, NOW)).toEqual([2]);
  });
});
