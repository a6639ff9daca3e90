import { expect, test } from "vitest";
import type { LogLevel } from "../src/configuration/settings.ts";
import { LogReporter } from "../src/log-reporter.ts";
import { virtualEnvironment } from "./virtual-environment.ts";

const SESSION = { device: "02:00:00:00:00:01", session: "ab".repeat(16) };

function trial(level: LogLevel) {
  const environment = virtualEnvironment();
  return { log: new LogReporter(environment, level), lines: () => environment.stdout.objects, environment };
}

test("a line has level, time, words, and the fields of the event", async () => {
  const { log, lines } = trial("info");
  const reason = { reason: "closed-by-peer", description: "the peer said BYE" } as const;
  await log.event({ event: "closed", ...SESSION, ...reason });
  await log.event({ event: "gateway", data: "/srv/usmp", devices: 2, created: false, dev: false });
  expect(lines()).toEqual([
    {
      level: "info",
      time: "2026-01-02T03:04:05.678Z",
      event: "closed",
      ...SESSION,
      ...reason,
      msg: "02:00:00:00:00:01 abababab closed-by-peer: the peer said BYE",
    },
    expect.objectContaining({ directory: "/srv/usmp", devices: 2, msg: "/srv/usmp, 2 devices" }),
  ]);
});

test("payloads, keys and tokens are in no line, at no level", async () => {
  const { log, environment } = trial("debug");
  await log.event({
    event: "message",
    ...SESSION,
    data: Buffer.from("a payload").toString("base64"),
    text: "a payload",
  });
  const leaking = {
    event: "notice",
    topic: "t",
    message: "m",
    psk: "hidden",
    nested: { token: "hidden", key: "hidden" },
  };
  await log.event(leaking as never);
  expect(environment.stdout.text).not.toMatch(/payload|YSBwYXlsb2Fk|hidden/);
  expect(environment.stdout.objects[0]).toMatchObject({ level: "debug", event: "message", bytes: 9, ...SESSION });
});

test("what is below the level is not written", async () => {
  const events = async (level: LogLevel) => {
    const { log, lines } = trial(level);
    await log.event({ event: "message", ...SESSION, data: "" });
    await log.event({ event: "listening", transport: "tcp", host: "::", port: 9000 });
    await log.event({ event: "notice", topic: "sink", message: "x" });
    await log.error({ code: "system", message: "x", exitCode: 1 });
    return lines().map(({ event }) => event);
  };
  expect(await events("debug")).toEqual(["message", "listening", "notice", "error"]);
  expect(await events("info")).toEqual(["listening", "notice", "error"]);
  expect(await events("warn")).toEqual(["notice", "error"]);
  expect(await events("error")).toEqual(["error"]);
});

test("hostile names stay one line of printable characters", async () => {
  const { log, environment } = trial("info");
  const name = 'x"\n\u001b[2J\u009b\u202e\u2028y';
  await log.event({ event: "session", ...SESSION, peer: "127.0.0.1:1", transport: "tcp", generation: 1, name });
  expect(environment.stdout.text).toMatch(/^[\x20-\x7e]+\n$/);
  expect(environment.stdout.objects[0]).toMatchObject({ name });
});

test("who waits for a line waits until its reader has room", async () => {
  const { log, environment } = trial("info");
  environment.stdout.stall();
  let done = false;
  const notice = { event: "notice", topic: "t", message: "x".repeat(100_000) } as const;
  void log.event(notice).then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toBe(false);
  environment.stdout.resume();
  await expect.poll(() => done).toBe(true);
});
