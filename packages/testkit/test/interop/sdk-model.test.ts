import { defaultCrypto } from "@usmp/crypto";
import {
  type Address,
  addMs,
  DatagramClient,
  type DatagramConnection,
  DatagramEndpoint,
  type DatagramServer,
  DEFAULT_TIMING,
  earliest,
  Gate,
  type Instant,
  instant,
  parseLimits,
  Secret,
} from "@usmp/protocol";
import {
  DatagramLink,
  pythonSdk,
  type ReplayCall,
  type Replayed,
  type ReplayScript,
  type ReplayStep,
  replayThroughSdk,
  runSeed,
  type SdkEvent,
  type SdkPeer,
  SdkUdpClient,
  SdkUdpServer,
  type SeededRandom,
  scriptedCrypto,
  seeds,
  withSeed,
} from "@usmp/testkit";
import { describe, expect, test } from "vitest";

/** How many sessions the real SDK is taken through, for each role. */
const SESSIONS = 60;
const START: Instant = instant(1_000_000);
const SESSION_MS = 40_000;
const TEST_PSK: Uint8Array = new Uint8Array(32).fill(0x5a);
const DEVICE_ID: Uint8Array = new Uint8Array(6).fill(0xd0);
/** As the SDK's server sees its client, for the cookie. */
const CLIENT: Address = { key: "127.0.0.1:5000" };
const SERVER: Address = { key: "server" };

/**
 * The model is the SDK when both do the same with the same: sessions of the model with our ends over bad lines, by random programs, are
 * recorded and played to the real SDK, byte for byte and millisecond for millisecond.
 */
describe.skipIf(!pythonSdk().available)("the model of the Python SDK", () => {
  test.each(["client", "server"] as const)(
    "does as a %s what the SDK does, in its answers, their moments and its errors",
    (role) => {
      const recorded = [...seeds(SESSIONS, runSeed())].map((seed) => withSeed(seed, (random) => record(random, role)));
      const replayed = replayThroughSdk(
        recorded.map(({ script }) => script),
        START,
      );
      const sent = recorded.reduce((sum, { did }) => sum + did.sent.length, 0);
      const events = new Set(recorded.flatMap(({ did }) => did.events.map(([, name]) => name)));
      console.info(
        `${SESSIONS} sessions of the SDK as a ${role}: ${sent} datagrams, events: ${[...events].join(", ")}`,
      );
      for (const [i, { did, seed }] of recorded.entries()) {
        expect(rounded(replayed[i] as Replayed), `USMP_SEED=${seed}`).toEqual(rounded(did));
      }
      expect(events).toContain("connected");
      expect(events).toContain("failed");
    },
  );
});

interface Recording {
  readonly seed: number;
  readonly script: ReplayScript;
  readonly did: { readonly sent: [number, string][]; readonly events: [number, string, string][] };
}

function record(random: SeededRandom, role: "client" | "server"): Recording {
  const privateKeys = [random.bytes(32), random.bytes(32), random.bytes(32)];
  const values = [...Array.from({ length: 12 }, () => random.bytes(32)), random.bytes(16), random.bytes(16)];
  const { provider } = scriptedCrypto(defaultCrypto(), { privateKeys, random: values });
  const steps: ReplayStep[] = [];
  const did: Recording["did"] = { sent: [], events: [] };
  const link = new DatagramLink({
    random: random.fork(),
    conditions: {
      latencyMs: 7.3,
      jitterMs: random.pick([11, 90]),
      drop: random.pick([0.02, 0.2, 0.4]),
      duplicate: random.fraction() * 0.2,
      damage: random.fraction() * 0.05,
    },
    clientAddress: CLIENT.key,
  });
  let now = START;
  const psk = new Secret(TEST_PSK);
  const sdkClient =
    role === "client" ? new SdkUdpClient({ crypto: provider, psk, deviceId: DEVICE_ID }, now) : undefined;
  const sdkServer = role === "server" ? new SdkUdpServer({ crypto: provider, psk }) : undefined;
  const config = { crypto: defaultCrypto(), timing: DEFAULT_TIMING };
  const ourClient =
    role === "server" ? new DatagramClient({ ...config, psk, deviceId: DEVICE_ID }, { peer: SERVER }, now) : undefined;
  const gate = new Gate(parseLimits({ handshakes: 4 }), now);
  const endpoint = new DatagramEndpoint({ ...config, isOwnDevice: () => false, gate }, now);
  const ours = new Set<DatagramConnection>(ourClient === undefined ? [] : [ourClient]);
  let session: SdkPeer | undefined;
  let reading = true;

  const peers = (): readonly SdkPeer[] => (sdkClient === undefined ? (sdkServer?.peers ?? []) : [sdkClient]);
  const hear = (peer: SdkPeer, event: SdkEvent): void => {
    if (event.type === "connected") session = peer;
    if (event.type === "closed") session = undefined;
    did.events.push([now, ...described(event)]);
  };
  const transmitSdk = (bytes: Uint8Array): void => {
    did.sent.push([now, hex(bytes)]);
    link.send(role === "client" ? "client-to-server" : "server-to-client", bytes, now);
  };
  const drain = (): void => {
    for (let next = sdkClient?.pollTransmit(); next !== undefined; next = sdkClient?.pollTransmit()) transmitSdk(next);
    for (let next = sdkServer?.pollTransmit(); next !== undefined; next = sdkServer?.pollTransmit())
      transmitSdk(next.data);
    for (const peer of peers()) {
      for (let event = peer.pollEvent(); event !== undefined; event = peer.pollEvent()) hear(peer, event);
    }
    for (const source of [endpoint, ...ours]) {
      for (let next = source.pollTransmit(); next !== undefined; next = source.pollTransmit()) {
        link.send(role === "client" ? "server-to-client" : "client-to-server", next.data, now);
      }
    }
    for (const connection of ours) {
      for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) {
        if (event.type === "keys-needed") (connection as DatagramServer).provideKeys([psk], now);
      }
    }
  };
  const call = (name: ReplayCall): void => {
    const established = [...ours].find(({ state }) => state === "established");
    const data = random.bytes(random.pick([3, 452, 1_000, 1_808]));
    if (random.chance(0.4)) {
      if (name === "ping") established?.ping(now);
      else established?.send(data, now);
    } else if (session !== undefined) {
      if (name === "resume" ? reading : name === "pause" ? !reading : false) return;
      steps.push({ at: now, call: name, ...(name === "send" ? { data: hex(data) } : {}) });
      if (name === "send") session.send(data, now);
      else if (name === "pause" || name === "resume") {
        reading = name === "resume";
        if (reading) session.resumeReading(now);
        else session.pauseReading(now);
      } else session[name](now);
    }
    drain();
  };

  const calls = Array.from({ length: 24 }, () => ({
    at: addMs(START, 2_000 + random.fraction() * 25_000),
    name: random.pick<ReplayCall>(["send", "send", "send", "send", "ping", "rekey", "pause", "resume"]),
  })).sort((a, b) => a.at - b.at);
  if (random.chance(0.3)) calls.push({ at: addMs(START, 30_000.3), name: "bye" });

  drain();
  for (;;) {
    let next = earliest(calls[0]?.at, earliest(link.nextDeliveryAt(), endpoint.pollTimeout()));
    for (const timer of [...ours, ...peers()]) next = earliest(next, timer.pollTimeout());
    if (next === undefined || next > START + SESSION_MS) break;
    if (next > now) now = next;
    while (calls[0] !== undefined && calls[0].at <= now) call((calls.shift() as (typeof calls)[number]).name);
    for (const { direction, bytes } of link.deliver(now)) {
      if ((direction === "server-to-client") === (role === "client")) {
        steps.push({ at: now, datagram: hex(bytes) });
        sdkClient?.handleDatagram(bytes, now);
        sdkServer?.handleDatagram(bytes, CLIENT, now);
      } else if (ourClient !== undefined) ourClient.handleDatagram(bytes, SERVER, now);
      else for (const connection of endpoint.handleDatagram(bytes, CLIENT, now)) ours.add(connection);
      drain();
    }
    for (const timer of [endpoint, ...ours, ...peers()]) {
      if ((timer.pollTimeout() ?? Number.POSITIVE_INFINITY) <= now) timer.handleTimeout(now);
    }
    drain();
  }
  steps.push({ at: START + SESSION_MS, datagram: "" });
  const script = {
    role,
    psk: hex(TEST_PSK),
    deviceId: hex(DEVICE_ID),
    privateKeys: privateKeys.map(hex),
    random: values.map(hex),
    steps,
  };
  return { seed: random.seed, script, did };
}

/** As replay.py tells it: calls are not told apart, an error is its class. */
function described(event: SdkEvent): [string, string] {
  switch (event.type) {
    case "connected":
      return ["connected", hex(event.sessionId)];
    case "message":
      return ["message", hex(event.data)];
    case "done":
      return ["done", ""];
    case "failed":
    case "refused":
    case "closed":
      return [event.type, event.error.name];
    default:
      return event satisfies never;
  }
}

/** Milliseconds whole, for the sums of seconds that floating point makes of them; calls' names out. */
function rounded({ sent, events }: Replayed): Replayed {
  return {
    sent: sent.map(([at, bytes]) => [Math.round(at * 100) / 100, bytes]),
    events: events.map(([at, name, detail]) => [Math.round(at * 100) / 100, name, name === "done" ? "" : detail]),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
