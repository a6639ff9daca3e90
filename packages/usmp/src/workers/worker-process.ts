import { type ChildProcess, fork } from "node:child_process";
import cluster from "node:cluster";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { Channel, type ChannelHandlers } from "./channel.ts";
import { Kind, type ToWorker } from "./records.ts";

/** Of the socket pair, in the worker: 0 to 2 are the usual ones, 3 is Node's own. */
const CHANNEL_FD = 4;
/** A worker that does not end by itself after so long is killed. A gateway first waits a second for its queue, and is to be gone within five. */
const LONGEST_END_MS = 3_500;

export interface WorkerProcessHandlers extends ChannelHandlers {
  /** The process has ended; onClose() came before. */
  onExit(cause: string): void;
}

/** One worker process and the socket pair to it. */
export class WorkerProcess {
  readonly channel: Channel;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(ownSockets: boolean, handlers: WorkerProcessHandlers) {
    this.#process = ownSockets ? forkAlone() : forkInCluster();
    this.pid = this.#process.pid ?? 0;
    let closed!: () => void;
    const channelClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    this.channel = new Channel(this.#process.stdio[CHANNEL_FD] as Duplex, {
      onRecord: (kind, body) => handlers.onRecord(kind, body),
      onClose: () => {
        handlers.onClose();
        closed();
      },
    });
    const exited = new Promise<string>((resolve) => {
      this.#process.once("error", (error) => resolve(error.message));
      this.#process.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    // What it said before it ended is read first.
    this.#ended = Promise.all([exited, channelClosed]).then(([cause]) => handlers.onExit(cause));
  }

  tell(record: ToWorker): void {
    this.channel.sendValue(Kind.value, record);
  }

  /** Asks it to say BYE to its sessions and end; resolves when it has. */
  async close(): Promise<void> {
    this.tell({ type: "close" });
    const late = setTimeout(() => this.kill(), LONGEST_END_MS);
    await this.#ended;
    clearTimeout(late);
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

/** The program lies beside this file. Node 20 runs no TypeScript: from sources, that is in tests, it is the one that was built. */
const PROGRAM: string = fileURLToPath(
  import.meta.url.endsWith(".ts")
    ? new URL("../../dist/workers/worker.js", import.meta.url)
    : new URL("./worker.js", import.meta.url),
);
/** Standard input stays with the process that listens. */
const STDIO: ["ignore", "inherit", "inherit", "ipc", "pipe"] = ["ignore", "inherit", "inherit", "ipc", "pipe"];

function forkAlone(): ChildProcess {
  return fork(PROGRAM, [], { stdio: STDIO, execArgv: [] });
}

/**
 * Node's cluster hands each worker the same bound sockets, which this process itself does not read: it has no other documented way to
 * share UDP. Its settings are the process's, so the application's own are put back.
 */
function forkInCluster(): ChildProcess {
  const { schedulingPolicy } = cluster;
  const before = { ...cluster.settings };
  // Workers accept for themselves. After the first fork of the process this has no effect: then they are handed their connections.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ exec: PROGRAM, args: [], execArgv: [], stdio: STDIO });
  try {
    return cluster.fork().process;
  } finally {
    cluster.schedulingPolicy = schedulingPolicy;
    const ofProcess = { exec: process.argv[1], args: process.argv.slice(2), execArgv: process.execArgv };
    cluster.setupPrimary({ ...ofProcess, ...before, stdio: before.stdio ?? ["inherit", "inherit", "inherit", "ipc"] });
  }
}
