import { runSeed, SeededRandom, UdpRelay } from "@usmp/testkit";
import { type Session, UsageError } from "usmp";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Secret } from "../../src/index.ts";
import {
  DEVICE_ID,
  expectEcho,
  LOOPBACK,
  OTHER_TEST_PSK,
  open,
  patterned,
  receiveTexts,
  serve,
  TEST_PSK,
  TRANSPORTS,
  textOf,
} from "./loopback.ts";
import { buildWorkers, serveWithWorkers, TELLING, workerOf } from "./workers.ts";

const SESSIONS = 16;
/** Sessions that come one after another reach both processes long before so many; when all are in one, it is as good as proven that they stay there. */
const ENOUGH = 200;

function deviceOf(number: number): string {
  return `02:00:00:00:${(number >> 8).toString(16).padStart(2, "0")}:${(number & 0xff).toString(16).padStart(2, "0")}`;
}

/** What holds for two workers, however they come by their sockets. */
export function testTwoWorkers(): void {
  beforeAll(buildWorkers, 120_000);

  describe.each(TRANSPORTS)("two workers over %s", (transport) => {
    test("serve sessions that behave as those of one process", async () => {
      const { listening } = await serveWithWorkers();
      const to = listening.address(transport);
      const clients: Session[] = [];
      for (let i = 0; i < SESSIONS; i++) {
        const client = await open(to, { transport, deviceId: deviceOf(i) });
        const there = await listening.accept();
        expect(there).toMatchObject({ deviceId: deviceOf(i), sessionId: client.sessionId, transport, open: true });
        await expectEcho(client, there, `session ${i}`);
        expect(await there.ping()).toBeGreaterThan(0);
        await there.send(patterned(1_808));
        expect(await client.receive()).toEqual(patterned(1_808));
        await there.confirm();
        expect(await there.proven).toBe(true);
        clients.push(client);
      }
      expect(listening.server.sessions.size).toBe(SESSIONS);
      await expect
        .poll(() => listening.server.statistics)
        .toMatchObject({
          sessionsEstablished: SESSIONS,
          sessionsOpen: SESSIONS,
          handshakesOpen: 0,
        });
      const [first, second, third] = [...listening.server.sessions] as [Session, Session, Session];
      await expect.poll(() => first.statistics.messagesReceived).toBe(1);
      first.dismiss("not wanted");
      expect(await first.closed).toEqual({ code: "dismissed", cause: "not wanted" });
      expect(await clients[0]?.closed).toEqual({ code: "closed-by-peer" });
      expect(await second.close()).toEqual({ code: "closed-locally" });
      expect(await clients[1]?.closed).toEqual({ code: "closed-by-peer" });
      // Over UDP send() has waited for the acknowledgement already.
      if (transport === "tcp") await expect(second.confirm()).rejects.toMatchObject({ code: "delivery-unknown" });
      await expect(second.send("late")).rejects.toMatchObject({ code: "session-closed" });
      await clients[2]?.send("last words");
      await clients[2]?.close();
      expect(await third.closed).toEqual({ code: "closed-by-peer" });
      expect(await receiveTexts(third, 2), "what came before the end is read after it").toEqual([
        "last words",
        undefined,
      ]);
      expect(third.statistics.messagesReceived).toBe(2);
      expect(listening.server.sessions.size).toBe(SESSIONS - 3);
    });

    test("replace a device's session, whichever has the older one", async () => {
      const { listening } = await serveWithWorkers(TELLING);
      const to = listening.address(transport);
      let acrossWorkers = 0;
      let previous: { client: Session; there: Session; pid: number } | undefined;
      for (let i = 0; i < ENOUGH && acrossWorkers < 3; i++) {
        const client = await open(to, { transport });
        const there = await listening.accept();
        const pid = await workerOf(client);
        await client.send("mine now");
        expect(textOf(await there.receive())).toBe("mine now");
        if (previous !== undefined) {
          expect(await previous.there.closed).toEqual({ code: "replaced" });
          expect(await previous.client.closed).toEqual({ code: "closed-by-peer" });
          if (previous.pid !== pid) acrossWorkers++;
        }
        previous = { client, there, pid };
      }
      expect(acrossWorkers).toBe(3);
      expect(listening.server.sessions.size).toBe(1);
    });

    test("lose with a worker that is killed its sessions alone, and it comes back", async () => {
      const { listening, events } = await serveWithWorkers(TELLING);
      const to = listening.address(transport);
      const clients: { client: Session; pid: number }[] = [];
      const processes = new Set<number>();
      for (let i = 0; i < ENOUGH && (processes.size < 2 || clients.length < SESSIONS); i++) {
        const client = await open(to, { transport, deviceId: deviceOf(i), keepaliveMs: 500, idleTimeoutMs: 3_000 });
        const pid = await workerOf(client);
        processes.add(pid);
        clients.push({ client, pid });
      }
      const [victim] = processes;
      expect(processes.size).toBe(2);
      const lost = clients.filter(({ pid }) => pid === victim);
      const kept = clients.filter(({ pid }) => pid !== victim);
      // The last one's greeting may have overtaken the word of its beginning.
      await expect.poll(() => listening.server.sessions.size).toBe(clients.length);
      const theirs = [...listening.server.sessions];
      process.kill(victim as number, "SIGKILL");

      await expect.poll(() => listening.server.sessions.size).toBe(kept.length);
      const lostIds = lost.map(({ client }) => client.sessionId);
      for (const session of theirs.filter(({ sessionId }) => lostIds.includes(sessionId))) {
        expect(await session.closed).toMatchObject({
          code: "transport-failed",
          message: expect.stringContaining("SIGKILL"),
        });
      }
      for (const { client } of kept) {
        await client.send("still here");
        expect(textOf(await client.receive())).toBe("still here");
      }
      await expect.poll(() => events.filter(({ type }) => type === "started").length).toBe(3);
      expect(events).toContainEqual({
        type: "ended",
        worker: expect.any(Number),
        pid: victim,
        cause: "SIGKILL",
        lostSessions: lost.length,
        restartInMs: 100,
      });
      for (const { client } of lost) await client.closed;
      // Their devices come back, to either process; the sessions that lived on still do, wherever the kernel sends their datagrams now.
      const back = new Set<number>();
      let returned = 0;
      for (; returned < ENOUGH && back.size < 2; returned++) {
        back.add(await workerOf(await open(to, { transport, deviceId: deviceOf(1_000 + returned) })));
      }
      expect(back.size).toBe(2);
      for (const { client } of kept) {
        await client.send("and still");
        expect(textOf(await client.receive())).toBe("and still");
      }
      expect(listening.server.statistics.sessionsEstablished).toBe(clients.length + returned);
    });

    test("hold as many sessions as one process would, and let a device replace its own when they are full", async () => {
      const limit = 5;
      const { listening } = await serveWithWorkers({ limits: { sessions: limit } });
      const to = listening.address(transport);
      const clients: Session[] = [];
      for (let i = 0; i < limit; i++) {
        const client = await open(to, { transport, deviceId: deviceOf(i) });
        await client.send("here");
        clients.push(client);
        await listening.accept();
      }
      await expect(open(to, { transport, deviceId: deviceOf(limit), handshakeTimeoutMs: 1_500 })).rejects.toThrow();
      await expect.poll(() => listening.refusals.map(({ reason }) => reason.code)).toContain("server-full");
      for (const i of [0, 1, 2, 3, 4]) {
        const again = await open(to, { transport, deviceId: deviceOf(i) });
        await again.send("again");
        expect(await clients[i]?.closed).toEqual({ code: "closed-by-peer" });
        clients[i] = again;
      }
      await expect.poll(() => listening.server.sessions.size).toBe(limit);
      await clients[0]?.close();
      await expect.poll(() => listening.server.sessions.size).toBe(limit - 1);
      const newcomer = await open(to, { transport, deviceId: deviceOf(limit) });
      await newcomer.send("there was room");
      await expect.poll(() => listening.server.sessions.size).toBe(limit);
    });

    test("ask this process for keys, and tell it of refusals with what was tried", async () => {
      const asked: string[] = [];
      const { listening } = await serveWithWorkers({
        psk: async (deviceId) => {
          asked.push(deviceId);
          if (deviceId === deviceOf(9)) return undefined;
          return [
            { psk: new Secret(OTHER_TEST_PSK), label: 7 },
            { psk: new Secret(TEST_PSK), label: 8 },
          ];
        },
      });
      const to = listening.address(transport);
      for (let i = 0; i < 6; i++) {
        const client = await open(to, {
          transport,
          deviceId: deviceOf(i),
          psk: i % 2 === 0 ? TEST_PSK : OTHER_TEST_PSK,
        });
        const there = await listening.accept();
        expect(there.keyLabel).toBe(i % 2 === 0 ? 8 : 7);
        await expectEcho(client, there);
      }
      const wrong = new Uint8Array(32).fill(0x11);
      await expect(open(to, { transport, psk: wrong, handshakeTimeoutMs: 1_500 })).rejects.toThrow();
      await expect.poll(() => listening.refusals).toHaveLength(1);
      expect(listening.refusals[0]).toMatchObject({
        claimedDeviceId: DEVICE_ID,
        reason: { code: "authentication-failed", cause: "wrong-key" },
      });
      expect(listening.refusals[0]?.proof?.matches(new Secret(wrong))).toBe(true);
      expect(listening.refusals[0]?.proof?.matches(new Secret(TEST_PSK))).toBe(false);
      await expect(open(to, { transport, deviceId: deviceOf(9), handshakeTimeoutMs: 1_500 })).rejects.toThrow();
      await expect.poll(() => listening.refusals).toHaveLength(2);
      expect(listening.refusals[1]?.reason).toEqual({ code: "authentication-failed", cause: "unknown-device" });
      await expect.poll(() => listening.server.statistics.refused).toEqual({ "wrong-key": 1, "unknown-device": 1 });
      expect(new Set(asked).size).toBe(8);
    });

    test("hold a peer back whose messages nobody reads, and lose none of them", async () => {
      const { listening } = await serveWithWorkers({ receiveBufferBytes: 65_536 });
      const client = await open(listening.address(transport), { transport });
      const there = await listening.accept();
      const count = transport === "tcp" ? 20_000 : 600;
      let done = 0;
      const sending = (async () => {
        for (let i = 0; i < count; i++) {
          const message = patterned(1_808);
          new DataView(message.buffer).setUint32(0, i);
          await client.send(message);
          done++;
        }
      })();
      await expect.poll(() => done).toBeGreaterThan(20);
      let before = -1;
      await expect
        .poll(
          () => {
            const still = done === before;
            before = done;
            return still;
          },
          { interval: 700 },
        )
        .toBe(true);
      expect(done).toBeLessThan(count);
      for (let i = 0; i < count; i++) {
        const message = (await there.receive()) as Uint8Array;
        expect(new DataView(message.buffer, message.byteOffset).getUint32(0)).toBe(i);
      }
      await sending;
    });

    test("say BYE to all when the server closes, and end", async () => {
      const { listening, events } = await serveWithWorkers();
      const clients: Session[] = [];
      for (let i = 0; i < SESSIONS; i++) {
        clients.push(await open(listening.address(transport), { transport, deviceId: deviceOf(i) }));
      }
      await listening.server.close();
      for (const client of clients) expect(await client.closed).toEqual({ code: "closed-by-peer" });
      await listening.server.closed;
      for (const { pid } of events) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    });
  });

  test("a UDP session survives its address's moves, whichever worker reads what comes from there", async () => {
    const moves: boolean[] = [];
    const { listening } = await serveWithWorkers({ onMoved: (_, { proven }) => moves.push(proven) });
    const random = new SeededRandom(runSeed());
    const relay = await UdpRelay.start({ server: listening.address("udp"), random });
    onTestFinished(() => relay.close());
    const pairs: { client: Session; there: Session }[] = [];
    for (let i = 0; i < 4; i++) {
      const client = await open(relay.address, { transport: "udp", deviceId: deviceOf(i) });
      pairs.push({ client, there: await listening.accept() });
    }
    for (let round = 0; round < 10; round++) {
      await relay.rebind();
      for (const { client, there } of pairs) {
        await client.send(`round ${round}`);
        expect(textOf(await there.receive())).toBe(`round ${round}`);
        // The answer's UTACKs name no session: they find it by the address that it moved to.
        await there.send(`heard ${round}`);
        expect(textOf(await client.receive())).toBe(`heard ${round}`);
      }
    }
    expect(listening.server.statistics.sessionsEstablished).toBe(pairs.length);
    await expect.poll(() => moves.filter((proven) => proven).length).toBeGreaterThanOrEqual(10 * pairs.length);
  });

  test("thirty devices behind one host connect at once over UDP, and none is lost between the workers", async () => {
    const { listening } = await serveWithWorkers();
    const random = new SeededRandom(runSeed());
    const relay = await UdpRelay.start({ server: listening.address("udp"), random });
    onTestFinished(() => relay.close());
    const clients = await Promise.all(
      Array.from({ length: 30 }, (_, i) => open(relay.address, { transport: "udp", deviceId: deviceOf(i) })),
    );
    await Promise.all(clients.map((client) => client.send("in")));
    expect(listening.server.sessions.size).toBe(30);
    expect(listening.server.statistics.dropped["bad-cookie"] ?? 0).toBe(0);
  });

  describe("workers are refused", () => {
    const port = { tcp: `${LOOPBACK}:0`, psk: TEST_PSK };

    test.each([
      [{ workers: 0 }, "workers is 0; it must be a whole number from 1 to 64"],
      [{ workers: 1.5 }, "workers is 1.5"],
      [{ workers: 65 }, "workers is 65"],
      [{ workers: 2, crypto: {} as never }, "crypto cannot be handed to worker processes"],
      [{ workers: 2, clock: { now: () => 0, schedule: () => () => {} } as never }, "clock cannot be handed"],
      [{ workers: 2, limits: { sessions: 0 } }, "limits.sessions is 0"],
      [{ onWorker: () => {} }, "onWorker is for servers with workers"],
      [{ ...TELLING }, "application is for servers with workers"],
    ])("with %o", async (options, message) => {
      await expect(serve({ ...port, ...options })).rejects.toThrow(message);
      await expect(serve({ ...port, ...options })).rejects.toBeInstanceOf(UsageError);
    });

    test("on an address that is taken, and no process is left", async () => {
      const taken = await serve();
      const { port } = taken.address("tcp");
      await expect(serve({ tcp: `${LOOPBACK}:${port}`, udp: undefined, workers: 2 })).rejects.toThrow(
        /TCP port .*EADDRINUSE/,
      );
    });

    test("with an application that cannot be loaded", async () => {
      const module = new URL("../fixtures/no-such-module.mjs", import.meta.url);
      await expect(serve({ workers: 2, application: { module } })).rejects.toThrow("no-such-module.mjs");
    });
  });
}
