import { once } from "node:events";
import { createServer } from "node:net";
import { Secret } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { type ConnectError, connect, type ListenOptions, listen, type Psk, type PskAnswer, type Refusal } from "usmp";
import { describe, expect, test } from "vitest";
import {
  DEVICE_ID,
  expectEcho,
  LOOPBACK,
  OTHER_TEST_PSK,
  open,
  serve,
  TEST_PSK,
  TRANSPORTS,
} from "./support/loopback.ts";

const OTHER_DEVICE_ID = "d0:d1:d2:d3:d4:d6";
const DEVELOPMENT_KEY = Buffer.from("usmp-dev-psk-change-me-before-prod");
const thirdKey = new Uint8Array(32).fill(0x33);
const fourthKey = new Uint8Array(32).fill(0x44);
const fifthKey = new Uint8Array(32).fill(0x55);

describe.each(TRANSPORTS)("keys by a function, over %s", (transport) => {
  test("are asked for with the device id and the peer's address, once for each handshake", async () => {
    const asked: unknown[] = [];
    const listening = await serve({
      psk: (...question) => {
        asked.push(question);
        return TEST_PSK;
      },
    });
    const client = await open(listening.address(transport), { transport });
    const { host, port } = (await listening.accept()).peer;
    await client.ping();
    expect(asked).toEqual([[DEVICE_ID, { transport, host, port }]]);
  });

  test.each<[string, () => PskAnswer | Promise<PskAnswer>]>([
    ["bytes", () => TEST_PSK],
    ["a Secret", () => new Secret(TEST_PSK)],
    ["a list of one", () => [TEST_PSK]],
    ["the fourth of four candidates", () => [OTHER_TEST_PSK, thirdKey, fourthKey, TEST_PSK]],
    ["a promise", () => Promise.resolve(TEST_PSK)],
    ["a promise of a list that is kept later", () => later([OTHER_TEST_PSK, TEST_PSK])],
    ["a thenable of another library", () => thenable(TEST_PSK)],
    ["a good key beside one that may not be used", () => [DEVELOPMENT_KEY, TEST_PSK]],
  ])("may come as %s", async (_, psk) => {
    const listening = await serve({ psk });
    const client = await open(listening.address(transport), { transport });
    await expectEcho(client, await listening.accept());
  });

  test.each<[string, () => PskAnswer | Promise<PskAnswer>, string | undefined]>([
    ["undefined", () => undefined, undefined],
    ["an empty list", () => [], undefined],
    ["a promise of undefined", () => later(undefined), undefined],
    ["a fifth candidate", () => [OTHER_TEST_PSK, thirdKey, fourthKey, fifthKey, TEST_PSK], undefined],
    ["an error", () => fail("no such table"), "no such table"],
    ["a promise that rejects", async () => fail("no such host"), "no such host"],
    ["a key of 15 bytes", () => TEST_PSK.subarray(0, 15), "15 bytes"],
    ["the development key", () => DEVELOPMENT_KEY, "published development key"],
    ["text", () => "no bytes at all" as unknown as Psk, "not string"],
    ["null", () => null as unknown as Psk, "not null"],
  ])(
    "that come as %s let nobody in; from outside it looks like a wrong key, inside it is told apart",
    async (_, psk, problem) => {
      const wrongKey = await refusedWith({ psk: OTHER_TEST_PSK });
      const refused = await refusedWith({ psk });
      expect(refused.seenByClient).toEqual(wrongKey.seenByClient);
      const last = refused.reasons.at(-1);
      expect(last).toMatchObject({ code: "authentication-failed" });
      if (problem !== undefined) {
        expect(refused.reasons[0]).toEqual({ code: "lookup-failed", message: expect.stringContaining(problem) });
        expect(last).toMatchObject({ cause: "unknown-device" });
      }
    },
  );

  test("that come after the handshake's time are too late, and do no harm", async () => {
    const clock = new VirtualClock();
    const answers = new Map<string, (psk: Psk) => void>();
    const psk = (deviceId: string): Promise<Psk> => new Promise((resolve) => answers.set(deviceId, resolve));
    const listening = await serve({ clock, psk });
    const late = open(listening.address(transport), { transport, clock });
    await expect.poll(() => answers.has(DEVICE_ID)).toBe(true);
    const answerLate = answers.get(DEVICE_ID);
    clock.advance(10_000);
    await expect(late).rejects.toMatchObject({ name: "ConnectError" });
    expect(listening.refusals.map(({ reason }) => reason)).toEqual([{ code: "handshake-timeout", awaiting: "keys" }]);
    answerLate?.(TEST_PSK);
    const next = open(listening.address(transport), { transport, deviceId: OTHER_DEVICE_ID });
    await expect.poll(() => answers.has(OTHER_DEVICE_ID)).toBe(true);
    answers.get(OTHER_DEVICE_ID)?.(TEST_PSK);
    await expectEcho(await next, await listening.accept());
  });

  test("stay the application's: its bytes are neither wiped nor kept", async () => {
    const key = Uint8Array.from(TEST_PSK);
    const secret = new Secret(TEST_PSK);
    const listening = await serve({ psk: () => [key, secret] });
    const client = await open(listening.address(transport), { transport });
    await expectEcho(client, await listening.accept());
    expect(key).toEqual(TEST_PSK);
    expect(secret.expose()).toEqual(TEST_PSK);
  });

  /** A client with the test key, which does not get in: what it sees, and what the server notes. */
  async function refusedWith({ psk }: Pick<ListenOptions, "psk">) {
    const clock = new VirtualClock();
    const listening = await serve({ clock, psk });
    const refused = open(listening.address(transport), { transport, clock }).then(
      () => expect.unreachable("it was let in"),
      ({ code, reason }: ConnectError) => ({ code, reason }),
    );
    const reasons = (): Refusal["reason"][] => listening.refusals.map(({ reason }) => reason);
    await expect.poll(() => reasons().at(-1)?.code).toBe("authentication-failed");
    // UDP says nothing to a wrong proof: its client gives up when its time is over.
    if (transport === "udp") clock.advance(10_000);
    const seenByClient = await refused;
    expect(listening.server.sessions.size).toBe(0);
    return { reasons: reasons(), seenByClient };
  }
});

describe("listen()", () => {
  test.each<[string, Partial<ListenOptions>, string]>([
    ["no address at all", { tcp: undefined, udp: undefined }, "tcp and udp are both missing"],
    ["a port that is none", { tcp: 70_000 }, "70000"],
    ["a host that is none", { tcp: "no host:9000" }, "no host"],
    ["a key that is text", { psk: "text" as unknown as Psk }, "psk must be bytes or a Secret, not string"],
    ["a short key", { psk: new Uint8Array(15) }, "15 bytes"],
    ["no room for one message", { receiveBufferBytes: 1_000 }, "receiveBufferBytes"],
    ["no session at all", { limits: { sessions: 0 } }, "limits.sessions"],
    ["half a handshake", { limits: { handshakes: 0.5 } }, "limits.handshakes"],
    ["an own device id that is none", { ownDeviceIds: ["d0:d1"] }, "ownDeviceIds"],
    ["a keepalive that never comes", { keepaliveMs: 60_000 }, "keepaliveMs"],
  ])("refuses %s, naming it", async (_, options, problem) => {
    const refused = listen({ tcp: `${LOOPBACK}:0`, udp: `${LOOPBACK}:0`, psk: TEST_PSK, ...options });
    await expect(refused).rejects.toMatchObject({
      name: expect.stringMatching(/^(UsageError|AddressError)$/),
      message: expect.stringContaining(problem),
    });
  });

  test("leaves nothing open when one of its addresses cannot be had", async () => {
    const taken = await serve({ tcp: undefined });
    const { port: udp } = taken.address("udp");
    const tcp = await freeTcpPort();
    await expect(listen({ tcp: `${LOOPBACK}:${tcp}`, udp: `${LOOPBACK}:${udp}`, psk: TEST_PSK })).rejects.toMatchObject(
      { name: "ListenError", code: "cannot-listen", message: expect.stringContaining("taken") },
    );
    const again = await serve({ tcp: `${LOOPBACK}:${tcp}`, udp: undefined });
    expect(again.address("tcp").port).toBe(tcp);
  });

  test("on one transport alone opens no other", async () => {
    for (const [only, options] of [
      ["tcp", { udp: undefined }],
      ["udp", { tcp: undefined }],
    ] as const) {
      expect((await serve(options)).server.addresses.map(({ transport }) => transport)).toEqual([only]);
    }
  });

  test("gives its sessions to a loop that may be left and taken up again, and ends it with close()", async () => {
    const listening = await serve();
    const { server } = listening;
    await open(listening.address("tcp"), { deviceId: "d0:d1:d2:d3:d4:01" });
    for await (const session of server) {
      expect(session.deviceId).toBe("d0:d1:d2:d3:d4:01");
      break;
    }
    const second = await open(listening.address("udp"), { transport: "udp", deviceId: "d0:d1:d2:d3:d4:02" });
    const seen: string[] = [];
    const looping = (async () => {
      for await (const session of server) seen.push(session.deviceId);
    })();
    await expect.poll(() => seen).toEqual(["d0:d1:d2:d3:d4:02"]);
    expect(server.statistics).toMatchObject({ sessionsEstablished: 2, sessionsOpen: 2, handshakesOpen: 0 });
    await server.close();
    await looping;
    await server.closed;
    expect(await second.closed).toEqual({ code: "closed-by-peer" });
    expect(server.statistics.sessionsOpen).toBe(0);
  });

  test("counts what it refused, by cause", async () => {
    const listening = await serve();
    await connect({ ...listening.address("tcp"), psk: OTHER_TEST_PSK }).catch(() => {});
    await expect.poll(() => listening.server.statistics.refused).toEqual({ "wrong-key": 1 });
  });
});

function later<T>(value: T): Promise<T> {
  return new Promise((resolve) => setImmediate(() => resolve(value)));
}

/** As promise libraries and query builders make them. */
function thenable(psk: Psk): Promise<Psk> {
  // biome-ignore lint/suspicious/noThenProperty: that is what it is about
  return { then: (resolve: (psk: Psk) => void) => setImmediate(() => resolve(psk)) } as unknown as Promise<Psk>;
}

function fail(problem: string): never {
  throw new Error(problem);
}

async function freeTcpPort(): Promise<number> {
  const probe = createServer().listen(0, LOOPBACK);
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}
