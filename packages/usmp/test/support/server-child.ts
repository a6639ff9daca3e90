import { existsSync, readdirSync } from "node:fs";
import { listen, type ListenOptions } from "../../src/index.ts";
import { type ChildReport, TEST_PSK_BYTE, type ToChild, UNKNOWN_DEVICE_ID } from "./server-process.ts";

/** Linux alone says so simply what a process has open. */
const OWN_FILES = "/proc/self/fd";

/** A server in a process of its own, for what cannot be done to the test's: it echoes, answers "report", and ends on "close". */
async function main(options: Partial<ListenOptions>): Promise<void> {
  const server = await listen({
    tcp: "127.0.0.1:0",
    udp: "127.0.0.1:0",
    psk: (deviceId) => (deviceId === UNKNOWN_DEVICE_ID ? undefined : new Uint8Array(32).fill(TEST_PSK_BYTE)),
    ...options,
    onSession: async (session) => {
      for await (const message of session) await session.send(message).catch(() => {});
    },
  });
  const report = (): void => {
    const { rss, heapUsed } = memoryUsage();
    const { user, system } = process.cpuUsage();
    const resources = process.getActiveResourcesInfo().length;
    const files = openFiles();
    const told: ChildReport = {
      addresses: server.addresses,
      statistics: server.statistics,
      memory: { rss, heapUsed },
      cpuMicroseconds: user + system,
      resources,
      files,
    };
    process.send?.(told);
  };
  process.on("message", (asked: ToChild) => {
    if (asked === "collect") globalThis.gc?.();
    if (asked === "close") void server.close().then(() => process.exit());
    else report();
  });
  report();
}

function openFiles(): number | undefined {
  try {
    return existsSync(OWN_FILES) ? readdirSync(OWN_FILES).length : undefined;
  } catch {
    return undefined;
  }
}

/** Reading it takes a file, which a process that has run out of them does not get. */
function memoryUsage(): { readonly rss: number; readonly heapUsed: number } {
  try {
    return process.memoryUsage();
  } catch {
    return { rss: Number.NaN, heapUsed: Number.NaN };
  }
}

void main(JSON.parse(process.argv[2] ?? "{}") as Partial<ListenOptions>);
