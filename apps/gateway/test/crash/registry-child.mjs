/**
 * A process that changes a registry and says on standard output, line by line and at once, what was acknowledged: for tests that kill it.
 * node registry-child.mjs DIR DATABASE|- MODE: "random" goes on until it is killed; "once" makes one change of each kind.
 */
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { openRegistry } from "@usmp/gateway";
import { Secret } from "@usmp/protocol";

const [, , directory, database, mode] = process.argv;
const ACTOR = { who: "test", from: "registry-child" };
const EXISTING = "02:00:00:00:00:ff";
const ROTATE = { graceMs: 86_400_000, compromised: false, replace: true };

/** @param {object} line */
function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Makes a change and says how it went. @param {string} action @param {string} id @param {() => Promise<unknown>} work */
async function attempt(action, id, work) {
  say({ begin: action, id });
  try {
    const result = await work();
    const generation = /** @type {{ generation?: number }} */ (result)?.generation;
    say({ done: action, id, generation });
  } catch (error) {
    const { code, message } = /** @type {Error & { code?: string }} */ (error);
    say({ failed: action, id, code: code ?? "none", message });
  }
}

let registry;
for (let tries = 0; registry === undefined; tries++) {
  try {
    ({ registry } = await openRegistry({
      dataDirectory: directory,
      database: database === "-" ? undefined : database,
      master: { kind: "file", path: join(directory, "master") },
      surroundings: { variables: {}, askPassphrase: undefined },
    }));
  } catch (error) {
    // PostgreSQL notices that the process before was killed, and lets go of its lock, a moment later.
    if (error.code === "already-running" && tries < 100) await new Promise((resolve) => setTimeout(resolve, 50));
    else {
      say({ failed: "open", code: error.code ?? "none", message: error.message });
      process.exit(3);
    }
  }
}
say({ opened: registry.deviceCount });

const add = (id) => () =>
  registry.add(
    {
      id,
      name: undefined,
      tags: [],
      key: { imported: new Secret(Buffer.from(`not-secret test key ${randomUUID()}`)) },
    },
    ACTOR,
  );
if (mode === "once") {
  await attempt("add", "02:00:00:00:00:01", add("02:00:00:00:00:01"));
  if (registry.device(EXISTING) !== undefined)
    await attempt("rotate", EXISTING, () => registry.rotate(EXISTING, ROTATE, ACTOR));
  say({ state: registry.candidates(EXISTING)[0].generation });
  await registry.close();
  say({ closed: true });
} else {
  for (let index = 0; ; index++) {
    const id = `02:00:00:00:00:${randomByte()}`;
    const free = registry.device(id) === undefined;
    if (free)
      await attempt(
        "add",
        id,
        index % 2 === 0 ? add(id) : () => registry.add({ id, name: undefined, tags: [] }, ACTOR),
      );
    const known = [...registry.devices()].filter(({ state }) => state !== "revoked");
    const target = known[Math.floor(Math.random() * known.length)];
    if (target === undefined) continue;
    const dice = Math.random();
    if (dice < 0.5) await attempt("rotate", target.id, () => registry.rotate(target.id, ROTATE, ACTOR));
    else if (dice < 0.65) await attempt("suspend", target.id, () => registry.suspend(target.id, ACTOR));
    else if (dice < 0.8) await attempt("resume", target.id, () => registry.resume(target.id, ACTOR));
    else if (dice < 0.9) await attempt("revoke", target.id, () => registry.revoke(target.id, ACTOR));
    else await attempt("delete", target.id, () => registry.delete(target.id, ACTOR));
  }
}

function randomByte() {
  return Math.floor(Math.random() * 256)
    .toString(16)
    .padStart(2, "0");
}
