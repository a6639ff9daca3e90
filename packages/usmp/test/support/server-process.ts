import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ListenOptions, Peer, ServerStatistics, TransportName } from "usmp";
import { onTestFinished } from "vitest";
import { bundleChild } from "../../../crypto/test/memory/bundle-child.ts";

export const TEST_PSK_BYTE = 0x5a;

/** The one device that the server does not know. */
export const UNKNOWN_DEVICE_ID = "ff:ff:ff:ff:ff:ff";

export type ToChild = "report" | "collect" | "close";

export interface ChildReport {
  readonly addresses: readonly Peer[];
  readonly statistics: ServerStatistics;
  readonly memory: { readonly rss: number; readonly heapUsed: number };
  readonly cpuMicroseconds: number;
  /** Handles that Node keeps: sockets, timers. */
  readonly resources: number;
  /** Open descriptors, where the system says so. */
  readonly files: number | undefined;
}

/** An echo server in a process of its own: it can be stopped, and run out of files, without the test's process. */
export class ServerProcess {
  readonly #process: ChildProcess;
  readonly #reports: Reports;
  readonly #addresses: readonly Peer[];

  private constructor(process: ChildProcess, reports: Reports, addresses: readonly Peer[]) {
    this.#process = process;
    this.#reports = reports;
    this.#addresses = addresses;
  }

  /** `files`: how many descriptors it may have. */
  static async start(
    options: Omit<ListenOptions, "psk" | "onSession" | "onRefused" | "crypto" | "clock"> = {},
    files?: number,
  ): Promise<ServerProcess> {
    const directory = await mkdtemp(join(tmpdir(), "usmp-server-"));
    const program = await bundleChild(new URL("./server-child.ts", import.meta.url), directory);
    const limit = files === undefined ? "" : `ulimit -n ${files} && `;
    const args = ["--expose-gc", program, JSON.stringify(options)];
    const child = spawn("sh", ["-c", `${limit}exec "$0" "$@"`, process.execPath, ...args], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await rm(directory, { recursive: true });
    });
    const reports = new Reports(child);
    const { addresses } = await reports.next();
    return new ServerProcess(child, reports, addresses);
  }

  address(transport: TransportName): Peer {
    const address = this.#addresses.find((each) => each.transport === transport);
    if (address === undefined) throw new Error(`the server does not listen on ${transport}`);
    return address;
  }

  ask(what: "report" | "collect" = "report"): Promise<ChildReport> {
    this.#process.send(what);
    return this.#reports.next();
  }

  /** Stops it as a debugger, a suspended machine or SIGSTOP does. */
  suspend(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }
}

/** What the child tells, in the order in which it was asked. */
class Reports {
  readonly #waiting: { resolve(report: ChildReport): void; reject(error: Error): void }[] = [];
  #ended = false;

  constructor(child: ChildProcess) {
    child.on("message", (report: ChildReport) => this.#waiting.shift()?.resolve(report));
    child.once("exit", () => {
      this.#ended = true;
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(ENDED_EARLY));
    });
  }

  next(): Promise<ChildReport> {
    if (this.#ended) return Promise.reject(new Error(ENDED_EARLY));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

const ENDED_EARLY = "the server ended early; its stderr is above";
