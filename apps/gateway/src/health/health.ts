import type { HealthView } from "../control/methods.ts";
import type { WorkerStates } from "../observe/worker-watch.ts";
import { type Registry, STALE_AFTER_MS } from "../registry/registry.ts";

export interface HealthSources {
  readonly registry: Pick<Registry, "ageMs" | "describe">;
  /** Why the store takes no messages; undefined when it does. */
  readonly storeProblem: () => Promise<string | undefined>;
  /** Transports that should be listened on, and are. */
  readonly ports: () => { readonly wanted: readonly string[]; readonly bound: readonly string[] };
  readonly workers: Pick<WorkerStates, "wanted" | "listening">;
  readonly closing: () => boolean;
}

interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** For everyone: no path, no address, no text of a database. */
  readonly detail: string;
  /** For who may see the gateway's state. */
  readonly more?: string | undefined;
}

/** Whether devices can connect and be heard, with what keeps them from it. `details` tells those who may know more than a probe. */
export async function health(sources: HealthSources, { details }: { readonly details: boolean }): Promise<HealthView> {
  const findings = [
    registryFinding(sources),
    await databaseFinding(sources),
    await storeFinding(sources),
    ...portFindings(sources),
    ...workerFindings(sources),
  ];
  const checks = findings.map(({ name, ok, detail, more }) => ({
    name,
    ok,
    detail: details && more !== undefined ? `${detail}: ${more}` : detail,
  }));
  return { ready: checks.every(({ ok }) => ok), checks };
}

function registryFinding({ registry }: HealthSources): Finding {
  const age = Math.round(registry.ageMs / 1_000);
  const ok = registry.ageMs <= STALE_AFTER_MS;
  return {
    name: "registry",
    ok,
    detail: ok ? "fresh" : `not compared with the database for ${age} s: nobody new is admitted, sessions live on`,
  };
}

async function databaseFinding({ registry }: HealthSources): Promise<Finding> {
  const { problem } = await registry.describe();
  const ok = problem === undefined;
  return { name: "database", ok, detail: ok ? "reached" : "cannot be reached", more: problem };
}

async function storeFinding({ storeProblem }: HealthSources): Promise<Finding> {
  const problem = await storeProblem();
  const ok = problem === undefined;
  return { name: "store", ok, detail: ok ? "takes messages" : "takes no messages", more: problem };
}

function portFindings({ ports, closing }: HealthSources): Finding[] {
  const { wanted, bound } = ports();
  const missing = wanted.filter((transport) => !bound.includes(transport));
  const ok = missing.length === 0;
  return [
    {
      name: "ports",
      ok,
      detail: ok ? `listening on ${bound.join(" and ")}` : `not listening on ${missing.join(" and ")}`,
    },
    { name: "shutdown", ok: !closing(), detail: closing() ? "the gateway ends" : "none under way" },
  ];
}

/** One that listens lets devices in: a worker that is started again in 100 ms must not take the whole gateway out of service. */
function workerFindings({ workers: { wanted, listening } }: HealthSources): Finding[] {
  if (wanted === 0) return [];
  return [{ name: "workers", ok: listening > 0, detail: `${listening} of ${wanted} listen` }];
}
