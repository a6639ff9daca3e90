import { createSocket } from "node:dgram";
import { type LinkEvent, runSeed, SeededRandom, UdpRelay } from "@usmp/testkit";
import type { Session } from "usmp";
import { expect, onTestFinished, test } from "vitest";
import { fastClock } from "../support/fast-clock.ts";
import { LOOPBACK, open, serve, textOf } from "../support/loopback.ts";

/** Ten minutes take ten seconds. */
const SPEED = 60;
const TEN_MINUTES_MS = (10 * 60_000) / SPEED;
/** A NAT gives the client another port this often, in real milliseconds: 10 to 20 s. */
const REBIND_MS = [10_000 / SPEED, 20_000 / SPEED] as const;
const MESSAGES = 120;

// Fault case 25 of the threats page.
test("a NAT that takes another port every 10 to 20 s for ten minutes costs no message and no handshake, and old frames move nothing back", async () => {
  const random = new SeededRandom(runSeed());
  const clock = fastClock(SPEED);
  const heard: Uint8Array[] = [];
  const listening = await serve({ clock });
  const relay = await UdpRelay.start({
    server: listening.address("udp"),
    random: random.fork(),
    tap: (event) => keep(heard, event),
  });
  onTestFinished(() => relay.close());
  const client = await open(relay.address, { transport: "udp", clock });
  const server = await listening.accept();
  const ports = new Set([server.peer.port]);

  const stranger = createSocket("udp4");
  onTestFinished(() => void stranger.close());
  await new Promise<void>((resolve) => stranger.bind(0, LOOPBACK, resolve));
  const { port: serverPort } = listening.address("udp");

  let rebinding = true;
  const rebinds = (async () => {
    while (rebinding) {
      await pause(REBIND_MS[0] + random.fraction() * (REBIND_MS[1] - REBIND_MS[0]));
      await relay.rebind();
      // Someone who overheard the session sends old frames of it from elsewhere.
      for (const frame of heard.slice(0, -8)) if (random.chance(0.2)) stranger.send(frame, serverPort, LOOPBACK);
      ports.add(server.peer.port);
    }
  })();
  const gapMs = TEN_MINUTES_MS / MESSAGES;
  const received = { client: numbers(client), server: numbers(server) };
  await Promise.all([sendAll(client, gapMs), sendAll(server, gapMs)]);
  expect(await received.client).toEqual(Array.from({ length: MESSAGES }, (_, i) => `${i}`));
  expect(await received.server).toEqual(Array.from({ length: MESSAGES }, (_, i) => `${i}`));
  rebinding = false;
  await rebinds;

  expect(listening.server.statistics.sessionsEstablished).toBe(1);
  expect(client.open && server.open).toBe(true);
  expect(ports.size).toBeGreaterThan(20);
  expect(ports).not.toContain(stranger.address().port);
}, 120_000);

function keep(heard: Uint8Array[], { type, direction, bytes }: LinkEvent): void {
  if (type === "sent" && direction === "client-to-server") heard.push(bytes.slice());
}

async function sendAll(session: Session, gapMs: number): Promise<void> {
  for (let i = 0; i < MESSAGES; i++) {
    await session.send(`${i}`);
    await pause(gapMs);
  }
}

async function numbers(session: Session): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  while (texts.length < MESSAGES) texts.push(textOf(await session.receive()));
  return texts;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
