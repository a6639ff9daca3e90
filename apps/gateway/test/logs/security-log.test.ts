import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { parseAuditExport } from "../../src/backup/later-audit.ts";
import { SecurityLog } from "../../src/logs/security-log.ts";
import { ADA, TestHome } from "../support/registries.ts";

let home: TestHome;
let path: string;
const troubles: string[] = [];
beforeEach(() => {
  home = new TestHome(undefined);
  path = join(home.directory, "security.jsonl");
  troubles.length = 0;
});
afterEach(() => home.remove());

const ID = "02:00:00:00:00:01";

async function open(at = path) {
  const { registry } = await home.open();
  const log = await SecurityLog.open({
    path: at,
    registry,
    clock: home.time.clock,
    onTrouble: (message) => troubles.push(message),
  });
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await log.close();
    await home.close();
  };
  onTestFinished(close);
  return { registry, close };
}

const lines = (at = path): Record<string, unknown>[] =>
  readFileSync(at, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Real writes, and virtual seconds between them. */
const written = (count: number) =>
  expect
    .poll(
      async () => {
        await home.time.clock.elapse(1_000);
        return lines().length;
      },
      { interval: 5 },
    )
    .toBe(count);

test("it has every row of the audit, as audit export prints them, for its owner alone", async () => {
  const { registry } = await open();
  await written(registry.audit.headSeq);
  await registry.add({ id: ID, name: undefined, tags: [] }, ADA);
  await registry.suspend(ID, { who: "a\u001b[2J\u202eb", from: "10.0.0.1" });
  await written(registry.audit.headSeq);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const text = readFileSync(path, "utf8");
  expect(text).toContain("a\\u001b[2J\\u202eb");
  expect(lines().map(({ action }) => action)).toEqual(["gateway.first-start", "device.add", "device.suspend"]);
  expect(lines()[1]).toMatchObject({ event: "audit", device: ID, who: ADA.who, from: ADA.from });
  const rows = [];
  for await (const row of registry.audit.rows()) rows.push(row);
  expect(parseAuditExport(text)).toMatchObject(rows);
});

test("a start goes on where the last one ended, also in a file that was rotated meanwhile", async () => {
  const first = await open();
  await first.registry.add({ id: ID, name: undefined, tags: [] }, ADA);
  await first.close();
  renameSync(path, `${path}.1`);
  const second = await open();
  await second.registry.suspend(ID, ADA);
  await second.close();
  await (await open()).close();
  const seqs = [...lines(`${path}.1`), ...lines()].map(({ seq }) => seq);
  expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, index) => index + 1));
  expect(lines().map(({ action }) => action)).toEqual(["gateway.start", "device.suspend", "gateway.start"]);
});

test("what cannot be written is written when it can, and both are told once", async () => {
  const place = join(home.directory, "place");
  path = join(place, "security.jsonl");
  const { registry } = await open();
  await written(1);
  rmSync(place, { recursive: true });
  writeFileSync(place, "in the way");
  await registry.add({ id: ID, name: undefined, tags: [] }, ADA);
  for (let i = 0; i < 5; i++) {
    await home.time.clock.elapse(1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await expect.poll(() => troubles).toEqual([expect.stringContaining("cannot be written, and is later: ")]);
  rmSync(place);
  mkdirSync(place);
  await expect
    .poll(async () => {
      await home.time.clock.elapse(1_000);
      return troubles.length;
    })
    .toBe(2);
  expect(troubles[1]).toBe("is written again, and nothing is missing");
  expect(lines().map(({ action }) => action)).toEqual(["device.add"]);
});

test("after a backup was restored it goes on with new rows, and says so", async () => {
  writeFileSync(path, `${JSON.stringify({ seq: 900, action: "device.add" })}\n`);
  const { registry, close } = await open();
  await expect
    .poll(async () => {
      await home.time.clock.elapse(1_000);
      return troubles.length;
    })
    .toBe(1);
  expect(troubles[0]).toContain("is ahead of the audit (row 900 of 1): a backup was restored");
  await registry.add({ id: ID, name: undefined, tags: [] }, ADA);
  await close();
  expect(lines().map(({ seq }) => seq)).toEqual([900, 2]);
});

test("a file of something else keeps the gateway from starting", async () => {
  writeFileSync(path, '{"event":"message"}\n');
  await expect(open()).rejects.toMatchObject({
    code: "usage",
    message: expect.stringContaining("ends with a line that is none of a security log; give another path"),
  });
});
