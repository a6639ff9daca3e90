import { randomBytes } from "node:crypto";
import { runSeed, type SeededRandom, UdpRelay, withSeed } from "@usmp/testkit";
import { expect, onTestFinished, test } from "vitest";
import { open, serve } from "../support/loopback.ts";
import { fastClock } from "../support/fast-clock.ts";
import { expectAllInOrder, THIRTY_PERCENT } from "../support/lossy.ts";

const MINUTES = 60_000;

test("1,000 messages each way of one session arrive once and in order over a line that loses, doubles and reorders 30 % both ways", async () => {
  await withSeed(runSeed(), async (random) => {
    // Eighty times faster, so that retransmission timeouts of 100 ms to 5 s take 1 ms to 60 ms; the line keeps pace with that.
    const patience = { clock: fastClock(80), handshakeTimeoutMs: 10 * MINUTES, idleTimeoutMs: 10 * MINUTES };
    const listening = await serve(patience);
    const relay = await lossyRelay(listening.address("udp"), random, { ...THIRTY_PERCENT, reorderMs: 2 });
    const client = await open(relay.address, { transport: "udp", ...patience });
    const server = await listening.accept();
    await Promise.all([expectAllInOrder(client, server, 1_000), expectAllInOrder(server, client, 1_000)]);
    expectLosses(relay);
    expect(client.statistics.retransmissions).toBeGreaterThan(500);
  });
});

test("1,000 messages of fifty sessions at once arrive once and in order over the same line in real time", async () => {
  await withSeed(runSeed(), async (random) => {
    const listening = await serve({ handshakeTimeoutMs: MINUTES });
    const relay = await lossyRelay(listening.address("udp"), random, THIRTY_PERCENT);
    const clients = await Promise.all(
      Array.from({ length: 50 }, () =>
        open(relay.address, {
          transport: "udp",
          handshakeTimeoutMs: MINUTES,
          deviceId: new Uint8Array(randomBytes(6)),
        }),
      ),
    );
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

async function lossyRelay(server: { host: string; port: number }, random: SeededRandom, conditions: typeof THIRTY_PERCENT) {
  const relay = await UdpRelay.start({ server, random: random.fork(), conditions });
  onTestFinished(() => relay.close());
  return relay;
}

/** The line was as bad as it was meant to be. */
function expectLosses({ counts: { sent, dropped, duplicated } }: UdpRelay): void {
  expect(dropped / sent).toBeGreaterThan(0.25);
  expect(duplicated / (sent - dropped)).toBeGreaterThan(0.25);
}
