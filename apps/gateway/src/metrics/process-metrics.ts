import type { Registry } from "prom-client";

let registry: Promise<Registry> | undefined;

/**
 * CPU, memory, descriptors, garbage collection and event-loop lag of this process, under the names that dashboards for Node.js know. One for all
 * gateways of a process: what measures them cannot be taken back. Loaded with the first scrape.
 */
export async function processMetricsText(): Promise<string> {
  registry ??= openRegistry();
  return (await registry).metrics();
}

async function openRegistry(): Promise<Registry> {
  const { Registry, collectDefaultMetrics } = await import("prom-client");
  const opened = new Registry();
  collectDefaultMetrics({ register: opened });
  return opened;
}
