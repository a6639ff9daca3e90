import { connect, type Link, type LinkState, Secret, SessionClosedError } from "usmp";
import { expect, onTestFinished, test } from "vitest";
import { GatewayProcess } from "./gateway-process.ts";

/** Threats page, case 37. */
/** `npm run long -- gateway` makes a thousand of them. */
const SESSIONS = Number(process.env["USMP_RETURNING"] ?? 200);
const EXIT_MS = 5_000;
const BACK_MS = 30_000;
const MOST_A_SECOND = 500;

test(`SIGTERM with ${SESSIONS} sessions says BYE to each and ends within 5 s; after a restart all are back within 30 s, at most 500 in a second`, {
  timeout: 180_000,
}, async () => {
  const first = await GatewayProcess.start();
  const enrolled = await first.must(["device", "add", "--count", String(SESSIONS)]);
  const places = { tcp: await first.address("tcp"), udp: await first.address("udp") };
  const ends: string[] = [];
  const links: Link[] = [];
  onTestFinished(() => {
    for (const link of links) link.abort();
  });
  for (const [i, device] of enrolled.entries()) {
    const transport = i % 2 === 0 ? "tcp" : "udp";
    const psk = new Secret(Buffer.from(String(device["psk"]), "hex"));
    const onState = (state: LinkState): void => {
      if (state.name !== "waiting" || !(state.error instanceof SessionClosedError)) return;
      ends.push(state.error.reason.code);
    };
    const deviceId = String(device["id"]);
    links.push(await connect({ ...places[transport], transport, deviceId, psk, reconnect: { onState } }));
  }
  await Promise.all(links.map((link) => link.connected()));

  const asked = performance.now();
  first.child.process.kill("SIGTERM");
  expect(await first.child.exit).toEqual({ code: 0, signal: null });
  const exitMs = performance.now() - asked;
  expect(exitMs).toBeLessThan(EXIT_MS);
  await expect.poll(() => ends.length).toBe(SESSIONS);
  expect(new Set(ends)).toEqual(new Set(["closed-by-peer"]));

  const words = (["tcp", "udp"] as const).flatMap((name) => [`--${name}`, `127.0.0.1:${places[name].port}`]);
  const second = await GatewayProcess.start(first.data, words);
  const returned = performance.now();
  await Promise.all(links.map((link) => link.connected()));
  const backMs = performance.now() - returned;
  expect(backMs).toBeLessThan(BACK_MS);
  await expect.poll(() => times(second).length).toBeGreaterThanOrEqual(SESSIONS);
  const fullest = Math.max(...perSecond(times(second)));
  expect(fullest).toBeLessThanOrEqual(MOST_A_SECOND);
  console.log(
    `ended in ${exitMs.toFixed(0)} ms; back in ${(backMs / 1_000).toFixed(1)} s, ${fullest} in the fullest second`,
  );
});

/** When each session was established, in milliseconds. */
function times(gateway: GatewayProcess): number[] {
  const lines = gateway.child.stdout.lines.filter((line) => line.includes('"event":"session"'));
  return lines.map((line) => Date.parse((JSON.parse(line) as { time: string }).time));
}

function perSecond(all: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const at of all) counts.set(Math.floor(at / 1_000), (counts.get(Math.floor(at / 1_000)) ?? 0) + 1);
  return [...counts.values()];
}
