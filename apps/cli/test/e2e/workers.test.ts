import { readFile } from "node:fs/promises";
import { connect, Secret, type Session } from "usmp";
import { describe, expect, test } from "vitest";
import { freeAddress, reachable } from "../commands/running.ts";
import { finished, server, TEST_KEY, usmp } from "./process.ts";

const DEVICES = 12;
const LONGEST_END_MS = 5_000;

function open(address: string, transport: "tcp" | "udp", number: number): Promise<Session> {
  const [host, port] = address.split(":") as [string, string];
  return connect({
    host,
    port: Number(port),
    transport,
    psk: new Secret(Buffer.from(TEST_KEY, "hex")),
    deviceId: `02:00:00:00:02:${number.toString(16).padStart(2, "0")}`,
  });
}

const text = (message: Uint8Array | undefined): string => Buffer.from(message ?? []).toString();

/** The worker processes that `usmp serve` has told of, and is one no more. */
function workersOf(events: readonly Record<string, unknown>[]): number[] {
  return events.filter(({ event, state }) => event === "worker" && state === "started").map(({ pid }) => Number(pid));
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.each(["tcp", "udp"] as const)("usmp serve --workers 2 --echo over %s", (transport) => {
  test("prints all workers' events in one stream, echoes, and says BYE to every session on SIGTERM", async () => {
    const running = await server(["--workers", "2", "--echo"]);
    const sessions = await Promise.all(
      Array.from({ length: DEVICES }, (_, number) => open(running[transport], transport, number)),
    );
    for (const [number, session] of sessions.entries()) {
      await session.send(`hello ${number}`);
      expect(text(await session.receive())).toBe(`hello ${number}`);
    }
    const { stdout, process: child, exit } = running.child;
    await expect.poll(() => stdout.objects.filter(({ event }) => event === "message")).toHaveLength(DEVICES);
    const pids = workersOf(stdout.objects);
    expect(pids).toHaveLength(2);
    const began = performance.now();
    child.kill("SIGTERM");
    for (const session of sessions) expect(await session.closed).toEqual({ code: "closed-by-peer" });
    expect(await exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(LONGEST_END_MS);
    for (const session of sessions) {
      const events = stdout.objects.filter((event) => event["session"] === session.sessionId);
      expect(events.map(({ event }) => event)).toEqual(["session", "message", "closed"]);
      expect(events[2]).toMatchObject({ reason: "closed-locally" });
    }
    expect(pids.some(lives)).toBe(false);
    expect(running.child.stderr.text).toBe("");
  });

  test.skipIf(process.platform === "win32")("ends within five seconds of SIGTERM though a worker hangs", async () => {
    const { child } = await server(["--workers", "2"]);
    const [hanging] = workersOf(child.stdout.objects);
    process.kill(hanging as number, "SIGSTOP");
    const began = performance.now();
    child.process.kill("SIGTERM");
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(LONGEST_END_MS);
    expect(lives(hanging as number)).toBe(false);
  });

  test("tells of a worker that was killed and comes back, and serves on", async () => {
    const { child, ...addresses } = await server(["--workers", "2", "--echo"]);
    const [victim] = workersOf(child.stdout.objects);
    process.kill(victim as number, "SIGKILL");
    await expect.poll(() => workersOf(child.stdout.objects)).toHaveLength(3);
    expect(child.stdout.objects.filter(({ state }) => state === "ended")).toMatchObject([
      { event: "worker", pid: victim, cause: "SIGKILL", lostSessions: 0, restartInMs: 100 },
    ]);
    for (let number = 0; number < DEVICES; number++) {
      const session = await open(addresses[transport], transport, number);
      await session.send("after");
      expect(text(await session.receive())).toBe("after");
      await session.close();
    }
  });

  test("killed itself, takes its workers along, and its devices hear BYE", async () => {
    const { child, ...addresses } = await server(["--workers", "2"]);
    const sessions = await Promise.all(
      Array.from({ length: DEVICES }, (_, number) => open(addresses[transport], transport, number)),
    );
    for (const session of sessions) await session.ping();
    const pids = workersOf(child.stdout.objects);
    child.process.kill("SIGKILL");
    for (const session of sessions) expect(await session.closed).toEqual({ code: "closed-by-peer" });
    await expect.poll(() => pids.some(lives)).toBe(false);
  });
});

/** The first process tries the port before its workers have it: who is let in then is not for long. */
async function openOnceThere(address: string): ReturnType<typeof open> {
  for (let tries = 0; ; tries++) {
    try {
      return await open(address, "tcp", 1);
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

test("--quiet --echo keeps messages in their workers and prints nothing", async () => {
  const address = await freeAddress();
  const child = usmp(["serve", "--tcp", address, "--psk", TEST_KEY, "--workers", "2", "--echo", "--quiet"]);
  const [host, port] = address.split(":") as [string, string];
  await reachable(host, Number(port));
  const session = await openOnceThere(address);
  await session.send("quiet");
  expect(text(await session.receive())).toBe("quiet");
  await session.close();
  child.process.kill("SIGTERM");
  expect(await child.exit).toEqual({ code: 0, signal: null });
  expect([child.stdout.text, child.stderr.text]).toEqual(["", ""]);
});

test.runIf(process.platform === "linux")("no key is in the arguments or the environment of a worker", async () => {
  const { child } = await server(["--workers", "2"]);
  for (const pid of workersOf(child.stdout.objects)) {
    expect(await readFile(`/proc/${pid}/cmdline`, "latin1")).not.toContain(TEST_KEY);
    expect(await readFile(`/proc/${pid}/environ`, "latin1")).not.toContain(TEST_KEY);
  }
});

test.each(["0", "65", "two", "1.5"])("--workers %s is a usage error", async (number) => {
  expect(await finished(["serve", "--psk", TEST_KEY, "--workers", number])).toMatchObject({
    code: 2,
    err: expect.stringContaining(`--workers: ${number} is not a whole number from 1 to 64`) as string,
  });
});
