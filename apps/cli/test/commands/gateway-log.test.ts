import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { begin, client } from "./running.ts";

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "usmp-gateway-log-"));
});
afterEach(() => rmSync(data, { recursive: true }));

const gateway = (...words: string[]) =>
  begin(["gateway", "--data", data, "--tcp", "127.0.0.1:0", "--udp", "off", ...words]);

test("--log-format json makes standard output a log, and --security-log a file of the audit", async () => {
  const log = join(data, "security.jsonl");
  const { environment, done } = gateway("--log-format", "json", "--security-log", log);
  const line = await environment.stdout.line((text) => text.includes('"listening"'));
  const { port } = JSON.parse(line) as { port: number };
  await client(["send", `127.0.0.1:${port}`, "x"]);
  const refused = await environment.stdout.line((text) => text.includes('"refused"'));
  expect(JSON.parse(refused)).toMatchObject({ level: "warn", event: "refused", cause: "unknown-device" });
  environment.stop();
  expect(await done).toBe(0);
  expect(environment.stdout.objects.every(({ level, time, msg }) => level && time && msg)).toBe(true);
  expect(environment.stderr.text).toBe("");
  const audit = readFileSync(log, "utf8").split("\n").filter(Boolean);
  expect(audit.map((each) => (JSON.parse(each) as { action: string }).action)).toEqual([
    "gateway.first-start",
    "refused",
  ]);
});

test("what keeps it from starting is in the log, too", async () => {
  const { environment, done } = gateway("--log-format", "json", "--sinks", '[{"name":"a","type":"webhok"}]');
  expect(await done).toBe(2);
  expect(environment.stdout.objects.at(-1)).toMatchObject({
    level: "error",
    event: "error",
    code: "usage",
    message: expect.stringContaining('did you mean "webhook"?'),
  });
});

test("a log and --json exclude each other, and a wrong word is named", async () => {
  const both = gateway("--log-format", "json", "--json");
  expect(await both.done).toBe(2);
  expect(both.environment.stderr.text).toContain("--log-format: not together with --json");
  const wrong = gateway("--log-level", "loud");
  expect(await wrong.done).toBe(2);
  expect(wrong.environment.stderr.text).toContain('--log-level "loud": none of info, debug, warn, error');
  expect(existsSync(join(data, "usmp.db"))).toBe(false);
});
