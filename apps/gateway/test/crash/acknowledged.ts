import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { OpenedRegistry } from "../../src/registry/open-registry.ts";

/** A line of registry-child.mjs. */
export interface ChildLine {
  readonly opened?: number;
  readonly begin?: string;
  readonly done?: string;
  readonly failed?: string;
  readonly state?: number;
  readonly closed?: boolean;
  readonly id?: string;
  readonly generation?: number;
  readonly code?: string;
  readonly message?: string;
}

export function readLines(output: string): readonly ChildLine[] {
  return output
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line) as ChildLine);
}

interface Known {
  generation: number;
  state: "active" | "suspended" | "revoked" | "deleted";
}

/**
 * What must be in the registry after all runs so far: every change that was acknowledged. Of the one that was under way when the process
 * died, and of those that failed, either outcome is right; it is taken from what is found, once.
 */
export class Acknowledged {
  readonly #devices: Map<string, Known> = new Map();
  #unsure: Set<string> = new Set();

  note(lines: readonly ChildLine[]): void {
    let open: string | undefined;
    for (const { begin, done, failed, id, generation } of lines) {
      if (id === undefined) continue;
      if (begin !== undefined) open = id;
      if (failed !== undefined) this.#unsure.add(id);
      if (done === undefined) continue;
      open = undefined;
      this.#apply(done, id, generation);
    }
    if (open !== undefined) this.#unsure.add(open);
  }

  async check({ registry }: OpenedRegistry): Promise<void> {
    for (const id of this.#unsure) this.#takeOver(registry.device(id), id, await registry.tombstone(id));
    this.#unsure = new Set();
    for (const [id, { generation, state }] of this.#devices) {
      const device = registry.device(id);
      if (state === "deleted") {
        expect(device, id).toBeUndefined();
        expect((await registry.tombstone(id))?.generation, id).toBe(generation);
      } else {
        expect(device?.state, id).toBe(state);
        if (state !== "revoked") expect(device?.current?.generation, id).toBe(generation);
      }
    }
    const known = [...this.#devices].filter(([, { state }]) => state !== "deleted").length;
    expect(registry.deviceCount).toBe(known);
    expect(await registry.audit.verify()).toMatchObject({ ok: true });
  }

  #apply(done: string, id: string, generation: number | undefined): void {
    const known = this.#devices.get(id) ?? { generation: 0, state: "active" as const };
    const states = { suspend: "suspended", resume: "active", revoke: "revoked", delete: "deleted" } as const;
    const state = done in states ? states[done as keyof typeof states] : done === "add" ? "active" : known.state;
    this.#devices.set(id, { generation: generation ?? known.generation, state });
  }

  #takeOver(
    device: ReturnType<OpenedRegistry["registry"]["device"]>,
    id: string,
    tombstone: { readonly generation: number } | undefined,
  ): void {
    const before = this.#devices.get(id);
    const highest = device?.current?.generation ?? tombstone?.generation ?? before?.generation ?? 0;
    // Whatever became of it: a generation never goes back.
    expect(highest, id).toBeGreaterThanOrEqual(before?.generation ?? 0);
    if (device !== undefined) this.#devices.set(id, { generation: highest, state: device.state });
    else if (tombstone !== undefined) this.#devices.set(id, { generation: highest, state: "deleted" });
    else {
      expect(before, `${id} was acknowledged and is gone`).toBeUndefined();
    }
  }
}

/** No file that others may read, no draft of a secret left behind, the master whole. */
export function checkFiles(directory: string): void {
  for (const name of readdirSync(directory)) {
    expect(name).not.toMatch(/\.new$/);
    if (statSync(join(directory, name)).isFile()) expect(statSync(join(directory, name)).mode & 0o077, name).toBe(0);
  }
  if (existsSync(join(directory, "master")))
    expect(readFileSync(join(directory, "master"), "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
}
