import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ListenOptions, Peer, ServerStatistics, TransportName } from "usmp";
import { onTestFinished } from "vitest";
import { bundleChild } from "../../../crypto/test/memory/bundle-child.ts";

export const TEST_PSK_BYTE = 0x5a;

export type ToChild = "report" | "collect" | "close";

export interface ChildReport {
  readonly addresses: readonly Peer[];
  readonly statistics: ServerStatistics;
  readonly memory: { readonly rss: number; readonly heapUsed: number };
  readonly cpuMicroseconds: number;
  /** Handles that Node keeps: sockets, timers. */
  readonly resources: number;
}

/** An echo server in a process of its own: it can be stopped, and run out of files, without the test's process. */
export class ServerProcess {
  readonly #process: ChildProcess;
  readonly #addresses: readonly Peer[];

  private constructor(process: ChildProcess, addresses: readonly Peer[]) {
    this.#process = process;
    this.#addresses = addresses;
  }

  /** `files`: how many descriptors it may have. */
  static async start(
    options: Omit<ListenOptions, "psk" | "onSession" | "onRefused" | "crypto" | "clock"> = {},
    files?: number,
  ): Promise<ServerProcess> {
    const directory = await mkdtemp(join(tmpdir(), "usmp-server-"));
    await bundleChild(new URL("./server-child.ts", import.meta.url), directory);
    const limit = files === undefined ? "" : `ulimit -n ${files} && `;
    const args = ["--expose-gc", join(directory, "server-child.mjs"), JSON.stringify(options)];
    const child = spawn("sh", ["-c", `${limit}exec "$0" "$@"`, process.execPath, ...args], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await rm(directory, { recursive: true });
    });
    const { addresses } = await nextReport(child);
    return new ServerProcess(child, addresses);
  }

  address(transport: TransportName): Peer {
    const address = this.#addresses.find((each) => each.transport === transport);
    if (address === undefined) throw new Error(`the server does not listen on ${transport}`);
    return address;
  }

  ask(what: "report" | "collect" = "report"): Promise<ChildReport> {
    const answer = nextReport(this.#process);
    this.#process.send(what);
    return answer;
  }

  /** Stops it as a debugger, a suspended machine or SIGSTOP does. */
  suspend(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }
}

async function nextReport(child: ChildProcess): Promise<ChildReport> {
  const ended = new AbortController();
  const onExit = (): void => ended.abort(new Error("the server ended early; its stderr is above"));
  child.once("exit", onExit);
  const [report] = (await once(child, "message", { signal: ended.signal })) as [ChildReport];
  child.off("exit", onExit);
  return report;
}
