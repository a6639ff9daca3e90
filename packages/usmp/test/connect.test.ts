import { VirtualClock } from "@usmp/testkit";
import { type ConnectOptions, connect } from "usmp";
import { describe, expect, test } from "vitest";
import { serve, TEST_PSK, TRANSPORTS } from "./support/loopback.ts";
import { listenRaw } from "./support/raw-tcp.ts";
import { RawUdp } from "./support/raw-udp.ts";

/** A virtual clock is moved before the event loop turns: to connect(), nothing has answered yet. */
describe.each(TRANSPORTS)("connect() over %s", (transport) => {
  const attempt = async (options: Partial<ConnectOptions>) => {
    const { port } = (await serve()).address(transport);
    return { port, connecting: connect({ host: "localhost", port, transport, psk: TEST_PSK, ...options }) };
  };

  test("gives up an address or name that does not answer at the deadline, as unreachable, and says how long it waited", async () => {
    const clock = new VirtualClock();
    const { port, connecting } = await attempt({ clock, handshakeTimeoutMs: 2_500 });
    clock.advance(2_500);
    await expect(connecting).rejects.toMatchObject({
      code: "unreachable",
      message: `localhost:${port}: no answer within 2.5 s; check host and port, this host's network, and that no firewall is in the way`,
    });
    expect(clock.pendingAlarms).toBe(0);
  });

  test("gives it up at once when the signal says so, with its reason", async () => {
    const clock = new VirtualClock();
    const controller = new AbortController();
    const { connecting } = await attempt({ clock, signal: controller.signal });
    const reason = new Error("never mind");
    controller.abort(reason);
    await expect(connecting).rejects.toBe(reason);
    expect(clock.pendingAlarms).toBe(0);
  });
});

describe("the time that connecting took is taken off the handshake's:", () => {
  test("over TCP", async () => {
    const clock = new VirtualClock();
    const silent = await listenRaw();
    const connecting = connect({ ...silent.address, psk: TEST_PSK, clock });
    clock.advance(4_000);
    await (await silent.accept()).expectFrame();
    await expectTimeoutIn(clock, 6_000, connecting, "CHALLENGE");
  });

  test("over UDP", async () => {
    const clock = new VirtualClock();
    const silent = await RawUdp.open();
    const connecting = connect({ ...silent.address, transport: "udp", psk: TEST_PSK, clock });
    clock.advance(4_000);
    await silent.expectFrame("HELLO");
    await expectTimeoutIn(clock, 6_000, connecting, "HELLO_RETRY");
  });
});

async function expectTimeoutIn(clock: VirtualClock, ms: number, connecting: Promise<unknown>, awaiting: string) {
  let settled = false;
  const outcome = expect(connecting).rejects.toMatchObject({ reason: { code: "handshake-timeout", awaiting } });
  void outcome.then(() => {
    settled = true;
  });
  await clock.elapse(ms - 1);
  expect(settled).toBe(false);
  await clock.elapse(1);
  await outcome;
}
