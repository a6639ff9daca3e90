import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { providers } from "../providers.ts";
import { bundleChild } from "./bundle-child.ts";
import { hasGcore, searchMemory } from "./core-dump.ts";
import { needlesOf, secretsOf } from "./known-keys.ts";
import type { ChildMessage } from "./report.ts";

const canDump = hasGcore();
if (!canDump) {
  if (process.env["CI"] === "true") throw new Error("gcore is missing: install gdb, CI must run the core-dump proof");
  console.warn("skipped: gcore is missing, so no core dump can be searched for keys; install gdb");
}

describe.skipIf(!canDump)("a core dump after wiping and garbage collection", () => {
  let directory: string;
  let program: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "usmp-memory-"));
    program = await bundleChild(new URL("./child.ts", import.meta.url), directory);
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each(providers.map(({ name }) => name))(
    "holds no private, shared or session key of 100 ended sessions of the %s provider, and does hold those of live ones",
    async (provider) => {
      const child = fork(program, [provider], { execArgv: ["--expose-gc"] });
      try {
        const live = await nextMessage(child, "live");
        const gone = new Map<string, Uint8Array>();
        const alive = new Map<string, Uint8Array>();
        for (const [i, report] of live.wiped.entries())
          addAll(gone, needlesOf(secretsOf(report, live.mask), `wiped ${i}:`));
        for (const [i, report] of live.kept.entries())
          addAll(alive, needlesOf(secretsOf(report, live.mask), `kept ${i}:`));
        child.send("forget");
        await nextMessage(child, "forgotten");

        const { found } = searchMemory(child.pid as number, new Map([...gone, ...alive]));

        expect([...found].filter((name) => gone.has(name))).toEqual([]);
        expect([...alive.keys()].filter(isHeldWhileLive).filter((name) => !found.has(name))).toEqual([]);
      } finally {
        child.kill("SIGKILL");
      }
    },
    60_000,
  );
});

/** A live session holds its private keys as generated, and its traffic keys; the shared secret is gone as soon as it was used. */
function isHeldWhileLive(name: string): boolean {
  return name.endsWith("bytes") && !name.includes("clamped") && !name.includes("shared");
}

/** One message; fails when the child ends first. */
async function nextMessage<T extends ChildMessage["type"]>(
  child: ChildProcess,
  type: T,
): Promise<ChildMessage & { type: T }> {
  const ended = new AbortController();
  child.once("exit", () => ended.abort(new Error("the child ended early; its stderr is above")));
  const [message] = (await once(child, "message", { signal: ended.signal })) as [ChildMessage];
  if (message.type !== type) throw new Error(`expected "${type}" from the child, got "${message.type}"`);
  return message as ChildMessage & { type: T };
}

function addAll(target: Map<string, Uint8Array>, source: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, bytes] of source) target.set(name, bytes);
}
