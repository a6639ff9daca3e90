/**
 * `node bench/registry.mjs [DEVICES] [postgres://…]`: what a registry of so many devices costs: enrolment, start, memory, look-up.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRegistry } from "@usmp/gateway";
import { Secret } from "@usmp/protocol";

const [, script, count = "100000", database, filled] = process.argv;
const devices = Number(count);
const LOOKUPS = 20_000;
const ACTOR = { who: "bench", from: "bench" };
const directory = filled ?? mkdtempSync(join(tmpdir(), "usmp-bench-"));

if (filled === undefined) {
  try {
    await fill();
    // A process of its own: what filling left behind must not count as the registry's memory.
    spawnSync(process.execPath, ["--expose-gc", script, count, database ?? "-", directory], { stdio: "inherit" });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
} else await use();

async function fill() {
  const registry = await open();
  await timed(`enrol ${devices - 1000} devices in one change`, () => enrol(registry, devices - 1000, false));
  await timed("enrol 1,000 keys that were brought along", () => enrol(registry, 1000, true));
  await registry.close();
}

async function use() {
  collect();
  const before = process.memoryUsage();
  const registry = await timed("start", open);
  collect();
  const after = process.memoryUsage();
  const held = (after.heapUsed + after.external - before.heapUsed - before.external) / 1_048_576;
  const resident = (after.rss / 1_048_576).toFixed(0);
  console.log(
    `memory of ${registry.deviceCount} devices: ${held.toFixed(0)} MB of heap and buffers; resident ${resident} MB in all`,
  );
  const ids = [...registry.devices()].map(({ id }) => id);
  await lookUp(registry, "an enrolled device", (index) => ids[(index * 7919) % ids.length]);
  await lookUp(registry, "an unknown device", (index) => `04:00:00:00:${hex(index >> 8)}:${hex(index)}`);
  await timed("rotate one device", () =>
    registry.rotate(ids[0], { graceMs: 1000, compromised: false, replace: false }, ACTOR),
  );
  await timed("look for graces that are over", () => registry.endGraces());
  await timed("verify the audit", () => registry.audit.verify());
  await registry.close();
}

async function open() {
  const opened = await openRegistry({
    dataDirectory: directory,
    database: database === "-" ? undefined : database,
    master: { kind: "file", path: join(directory, "master") },
    surroundings: { variables: {}, askPassphrase: undefined },
  });
  return opened.registry;
}

async function enrol(registry, count, brought) {
  const requests = Array.from({ length: count }, (_, index) => ({
    id: undefined,
    name: `device ${index}`,
    tags: index % 2 === 0 ? [] : ["cellar"],
    ...(brought
      ? { key: { imported: new Secret(Buffer.from(`not-secret bench key number ${String(index).padStart(8, "0")}`)) } }
      : {}),
  }));
  for (const { key } of await registry.addMany(requests, ACTOR)) key.wipe();
}

/** Two keys each: what a HELLO costs before its own cryptography. */
async function lookUp(registry, what, idOf) {
  const started = process.cpuUsage();
  for (let index = 0; index < LOOKUPS; index++) {
    for (const { key } of registry.candidates(idOf(index))) key.wipe();
    if (index % 1000 === 999) await new Promise((resolve) => setImmediate(resolve));
  }
  const { user, system } = process.cpuUsage(started);
  console.log(`look up ${what}: ${((user + system) / LOOKUPS).toFixed(1)} µs of CPU`);
}

async function timed(what, work) {
  const started = performance.now();
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  console.log(
    `${what}: ${((performance.now() - started) / 1000).toFixed(3)} s, ${((user + system) / 1e6).toFixed(3)} s of CPU`,
  );
  return result;
}

function collect() {
  globalThis.gc?.();
  globalThis.gc?.();
}

function hex(number) {
  return (number & 0xff).toString(16).padStart(2, "0");
}
