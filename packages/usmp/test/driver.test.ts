import { defaultCrypto } from "@usmp/crypto";
import {
  type CloseReason,
  type Connection,
  type ConnectionEvent,
  FrameSlab,
  parseTiming,
  Secret,
  StreamClient,
  StreamServer,
} from "@usmp/protocol";
import { SeededRandom, StreamLink, streamTransports, VirtualClock } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import type { Driver } from "../src/driver.ts";
import { StreamDriver } from "../src/stream-driver.ts";
import { TEST_PSK } from "./support/loopback.ts";

const HOUR_MS = 3_600_000;

describe("a process that did not run", () => {
  test("reads what came meanwhile before it calls a peer silent", async () => {
    const { clock, client, server, network } = await meet();
    network.unread = [];
    server.driver.run((connection, now) => connection.ping(now));
    await clock.elapse(1_000);
    clock.jump(70_000);
    expect(network.unread).toHaveLength(1);
    // Sockets are read behind the timers.
    for (const read of network.unread) read();
    await clock.elapse(2_000);
    expect(client.closed).toBeUndefined();
  });

  test("calls it silent a moment later when nothing came", async () => {
    const { clock, client, network } = await meet();
    network.cut = true;
    clock.jump(70_000);
    expect(client.closed).toBeUndefined();
    await clock.elapse(1_000);
    expect(client.closed).toMatchObject({ code: "peer-silent" });
  });

  test("does what is due once, not once for each time that it was", async () => {
    const { clock, client } = await meet({ idleTimeoutMs: 2 * HOUR_MS });
    const before = client.driver.connection.counters.framesSent;
    clock.jump(HOUR_MS);
    await clock.elapse(1_000);
    // A PING of its own, and a PONG to the PING of the other end, which stood still as well.
    expect(client.driver.connection.counters.framesSent - before).toBeLessThanOrEqual(2);
  });

  test("and is late every time does what is due all the same", async () => {
    const { clock, client, network } = await meet();
    network.cut = true;
    for (let i = 0; i < 4 && client.closed === undefined; i++) clock.jump(70_000);
    expect(client.closed).toMatchObject({ code: "peer-silent" });
  });
});

interface End {
  readonly driver: Driver<Connection>;
  closed: CloseReason | undefined;
}

interface Network {
  /** Swallows what is sent from now on. */
  cut: boolean;
  /** When there is one: where the client's chunks stay, as in the socket of a process that does not run. */
  unread: (() => void)[] | undefined;
}

/** An established session in virtual time; both ends live on one clock. */
async function meet(
  settings: Parameters<typeof parseTiming>[0] = {},
): Promise<{ clock: VirtualClock; client: End; server: End; network: Network }> {
  const clock = new VirtualClock();
  const network: Network = { cut: false, unread: undefined };
  const timing = parseTiming(settings);
  const link = new StreamLink({ random: new SeededRandom(1), conditions: { latencyMs: 20 } });
  const [near, far] = streamTransports(link, clock);
  for (const transport of [near, far]) {
    const write = transport.write.bind(transport);
    transport.write = (bytes) => network.cut || write(bytes);
  }
  const start = near.start.bind(near);
  near.start = (handlers) =>
    start({
      onData(chunk) {
        if (network.unread === undefined) handlers.onData(chunk);
        else network.unread.push(() => handlers.onData(chunk));
      },
      onDrain: () => handlers.onDrain(),
      onEnd: () => handlers.onEnd(),
      onClose: (error) => handlers.onClose(error),
    });
  const psk = new Secret(TEST_PSK);
  const slab = new FrameSlab();
  const config = { crypto: defaultCrypto(), timing };
  const connection = new StreamClient({ ...config, psk, deviceId: new Uint8Array(6) }, { slab }, clock.now());
  const host = new StreamServer({ ...config, isOwnDevice: () => false }, { slab }, clock.now());
  const client = endOf(new StreamDriver(connection, near, clock));
  const hostDriver = new StreamDriver(host, far, clock);
  const server = endOf(hostDriver, (event) => {
    if (event.type === "keys-needed") hostDriver.run((_, now) => host.provideKeys([psk], now));
  });
  hostDriver.start();
  (client.driver as StreamDriver).start();
  await clock.elapse(1_000);
  expect([connection.state, host.state]).toEqual(["established", "established"]);
  return { clock, client, server, network };
}

function endOf(driver: StreamDriver, also: (event: ConnectionEvent) => void = () => {}): End {
  const end: End = { driver, closed: undefined };
  driver.owner = {
    onEvent(event) {
      if (event.type === "closed") end.closed = event.reason;
      also(event);
    },
  };
  return end;
}
