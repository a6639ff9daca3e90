import { defaultCrypto } from "@usmp/crypto";
import { encodeFrame, encodeUtack, FrameType, instant, Secret } from "@usmp/protocol";
import type { PeerAddress } from "@usmp/transport";
import { describe, expect, test } from "vitest";
import type { Mesh } from "../../src/workers/mesh.ts";
import { SessionOwners } from "../../src/workers/owner-of-session.ts";
import { Shard } from "../../src/workers/shard.ts";

const WORKERS = 3;

/** Shards that reach each other without sockets; each notes what came to it. */
function shards(shared: boolean, knows: (worker: number, data: Uint8Array) => boolean = () => false) {
  const owners = new SessionOwners(defaultCrypto(), new Uint8Array(32).fill(1), WORKERS);
  const came: { worker: number; data: Uint8Array }[] = [];
  const claims: [number, number][] = [];
  const all = Array.from(
    { length: WORKERS },
    (_, self) =>
      new Shard({ self, count: WORKERS, shared, ownerOf: (id) => owners.ownerOf(id), now: () => instant(0) }),
  );
  for (const [self, shard] of all.entries()) {
    const mesh: Pick<Mesh, "forward" | "claim" | "setPeers"> = {
      forward: (worker, data, from, hops) => {
        came.push({ worker, data });
        all[worker]?.onDatagram(data, from, hops, self);
        return true;
      },
      claim: (worker, from) => {
        claims.push([self, worker]);
        all[worker]?.onClaim(from, self);
      },
      setPeers: () => {},
    };
    shard.join(mesh as Mesh);
    shard.attach({
      // As an acceptor does: what its endpoint does not know is offered to the others.
      inject: (data, from) => {
        if (knows(self, data)) return true;
        shard.onUnrouted(kindOf(data), data, from);
        return false;
      },
      shareCookieSecrets: () => {},
    });
  }
  /** A datagram is read by one of them. Answers who got it then. */
  const read = (by: number, data: Uint8Array, from: PeerAddress): number[] => {
    came.length = 0;
    const shard = all[by] as Shard;
    if (!shard.takes(data, from) && !knows(by, data)) shard.onUnrouted(kindOf(data), data, from);
    return came.map(({ worker }) => worker);
  };
  return { all, read, claims, owners };
}

const kindOf = (data: Uint8Array): "session-id" | "address" => (data[3] === FrameType.DATA ? "session-id" : "address");
const from = (port: number): PeerAddress => ({ host: "192.0.2.1", port });

function dataOf(sessionId: Uint8Array): Uint8Array {
  const payload = new Uint8Array(40);
  payload.set(sessionId.subarray(0, 8), 4);
  return encodeFrame(FrameType.DATA, 0, payload);
}

function idOf(owner: number, owners: SessionOwners): Uint8Array {
  for (let i = 0; ; i++) {
    const id = new Uint8Array(16).fill(i);
    if (owners.ownerOf(id) === owner) return id;
  }
}

describe("session ids", () => {
  test("belong to workers in equal parts, and which one the id does not show without the key", () => {
    const ids = Array.from({ length: 3_000 }, (_, i) => Uint8Array.of(i, i >> 8, 0, 0, 0, 0, 0, 0));
    const counts = (key: number): number[] => {
      const owners = new SessionOwners(defaultCrypto(), new Uint8Array(32).fill(key), WORKERS);
      return [0, 1, 2].map((worker) => ids.filter((id) => owners.ownerOf(id) === worker).length);
    };
    for (const count of counts(1)) expect(Math.abs(count - 1_000)).toBeLessThan(120);
    const one = new SessionOwners(defaultCrypto(), new Uint8Array(32).fill(1), WORKERS);
    const other = new SessionOwners(defaultCrypto(), new Uint8Array(32).fill(2), WORKERS);
    const same = ids.filter((id) => one.ownerOf(id) === other.ownerOf(id)).length;
    expect(Math.abs(same - 1_000)).toBeLessThan(120);
  });

  test("are drawn by their worker alone", () => {
    const { all, owners } = shards(true);
    for (let owner = 0; owner < WORKERS; owner++) {
      const id = idOf(owner, owners);
      expect(all.map((shard) => shard.owns(id))).toEqual([0, 1, 2].map((worker) => worker === owner));
    }
  });
});

describe.each([
  ["one socket for all", true],
  ["a socket for each", false],
])("with %s", (_, shared) => {
  test("a session frame reaches its worker in one hop, from wherever it was read", () => {
    const { read, owners } = shards(shared, (worker, data) => data[16] === idOf(worker, owners)[0]);
    for (let owner = 0; owner < WORKERS; owner++) {
      for (let by = 0; by < WORKERS; by++) {
        expect(read(by, dataOf(idOf(owner, owners)), from(40_000))).toEqual(by === owner ? [] : [owner]);
      }
    }
  });

  test("a frame of a session that is over ends with the worker that it names", () => {
    const { read, owners } = shards(shared);
    expect(read(0, dataOf(idOf(2, owners)), from(40_000))).toEqual([2]);
    expect(read(2, dataOf(idOf(2, owners)), from(40_000))).toEqual([]);
  });

  test("a UTACK finds the worker of a session that moved, and the next one goes straight there", () => {
    const utack = encodeUtack(FrameType.SESSION_OK, 0);
    for (let by = 0; by < WORKERS; by++) {
      const { read } = shards(shared, (worker) => worker === 1);
      const first = read(by, utack, from(40_000));
      if (by !== 1) expect(first).toContain(1);
      const second = read(by, utack, from(40_000));
      expect(second.length).toBeLessThanOrEqual(2);
      if (by !== 1) expect(second.at(-1)).toBe(1);
    }
  });

  test("a UTACK that nobody waits for is shown to each worker once, and that is all", () => {
    const { read } = shards(shared);
    for (let by = 0; by < WORKERS; by++) {
      expect(read(by, encodeUtack(FrameType.DATA, 5), from(40_000)).length).toBeLessThanOrEqual(WORKERS);
    }
  });
});

test("a HELLO, and the UTACK of HELLO_RETRY, go to the home of their address where one socket is for all", () => {
  const { all, read } = shards(true, () => true);
  const hello = encodeFrame(FrameType.HELLO, 0, new Uint8Array(38));
  const informed = encodeUtack(FrameType.HELLO_RETRY, 0);
  for (let port = 40_000; port < 40_030; port++) {
    const homes = all.map((_, by) => read(by, hello, from(port)));
    const home = homes.flat()[0] as number;
    expect(homes).toEqual([0, 1, 2].map((by) => (by === home ? [] : [home])));
    for (const by of [0, 1, 2].filter((each) => each !== home)) expect(read(by, informed, from(port))).toEqual([home]);
  }
  expect(shards(false).all.map((shard) => shard.takes(hello, from(40_000)))).toEqual([false, false, false]);
});

test("cookie secrets that come before the socket are handed to it", () => {
  const shard = new Shard({ self: 0, count: 2, shared: true, ownerOf: () => 0, now: () => instant(0) });
  const secrets: [Secret, Secret][] = [];
  const [one, two] = [new Secret(new Uint8Array(32).fill(1)), new Secret(new Uint8Array(32).fill(2))];
  shard.shareCookieSecrets(one, two);
  shard.attach({ inject: () => false, shareCookieSecrets: (...both) => secrets.push(both) });
  shard.shareCookieSecrets(two, one);
  expect(secrets).toEqual([
    [one, two],
    [two, one],
  ]);
});
