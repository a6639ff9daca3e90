import { randomBytes } from "node:crypto";
import { type DatagramConditions, runSeed, type SeededRandom, UdpRelay, withSeed } from "@usmp/testkit";
import { expect, onTestFinished, test } from "vitest";
import { fastClock } from "../support/fast-clock.ts";
import { open, serve } from "../support/loopback.ts";
import { expectAllInOrder } from "../support/lossy.ts";

/** What the issue asks for, in both directions. */
const THIRTY_PERCENT: DatagramConditions = { drop: 0.3, duplicate: 0.3, reorder: 0.3 };
const PATIENCE = { handshakeTimeoutMs: 600_000, idleTimeoutMs: 600_000 };

test("1,000 messages each way of one session arrive once and in order over a line that loses, doubles and reorders 30 % both ways", async () => {
  await withSeed(runSeed(), async (random) => {
    // Retransmission timeouts of 100 ms to 5 s take 1 ms to 60 ms, and the line reorders at that pace.
    const clock = fastClock(80);
    const listening = await serve({ clock, ...PATIENCE });
    const relay = await lossyRelay(listening.address("udp"), random, 2);
    const client = await open(relay.address, { transport: "udp", clock, ...PATIENCE });
    const server = await listening.accept();
    await Promise.all([expectAllInOrder(client, server, 1_000), expectAllInOrder(server, client, 1_000)]);
    expectLosses(relay);
    expect(client.statistics.retransmissions).toBeGreaterThan(500);
  });
});

test("1,000 messages of fifty sessions at once arrive once and in order over such a line", async () => {
  await withSeed(runSeed(), async (random) => {
    const clock = fastClock(10);
    const listening = await serve({ clock, ...PATIENCE });
    const relay = await lossyRelay(listening.address("udp"), random, 10);
    const connecting = Array.from({ length: 50 }, () =>
      open(relay.address, { transport: "udp", clock, ...PATIENCE, deviceId: new Uint8Array(randomBytes(6)) }),
    );
    const clients = await Promise.all(connecting);
    const servers = new Map([...listening.server.sessions].map((session) => [session.sessionId, session]));
    await Promise.all(
      clients.flatMap((client) => {
        const server = servers.get(client.sessionId);
        if (server === undefined) throw new Error(`the server has no session ${client.sessionId}`);
        return [expectAllInOrder(client, server, 10), expectAllInOrder(server, client, 10)];
      }),
    );
    expectLosses(relay);
  });
});

async function lossyRelay(
  server: { readonly host: string; readonly port: number },
  random: SeededRandom,
  reorderMs: number,
): Promise<UdpRelay> {
  const relay = await UdpRelay.start({ server, random: random.fork(), conditions: { ...THIRTY_PERCENT, reorderMs } });
  onTestFinished(() => relay.close());
  return relay;
}

/** The line was as bad as it was meant to be. */
function expectLosses({ counts: { sent, dropped, duplicated } }: UdpRelay): void {
  expect(dropped / sent).toBeGreaterThan(0.25);
  expect(duplicated / (sent - dropped)).toBeGreaterThan(0.25);
}
