import type { CloseReason, Secret } from "@usmp/protocol";
import type { Move, Peer, ServerStatistics } from "../api.ts";
import { readValue } from "./channel.ts";
import { type CarriedKey, encodeKeys } from "./keys-record.ts";
import {
  type FromWorker,
  Kind,
  type SessionRecord,
  type SessionVerb,
  type SlotRecord,
  type ToWorker,
} from "./records.ts";
import type { Begun, RemoteSession, SessionWorker } from "./remote-session.ts";
import { RestartDelay } from "./restart-delay.ts";
import { NO_STATISTICS, pastOf, sumOf } from "./server-statistics.ts";
import { WorkerProcess } from "./worker-process.ts";

/** What a slot's server does with what its worker says. */
export interface SlotHost {
  /** Readies a worker that has just begun: its key, its start. */
  begin(slot: WorkerSlot): void;
  onListening(slot: WorkerSlot, addresses: readonly Peer[]): void;
  onSession(slot: WorkerSlot, begun: Begun): RemoteSession;
  onProven(session: RemoteSession): void;
  onMoved(session: RemoteSession, move: Move): void;
  onRecord(slot: WorkerSlot, record: SlotRecord): void;
  /** The worker ended, though it was not asked to; it begins again after so many milliseconds. */
  onEnded(slot: WorkerSlot, cause: string, lost: readonly RemoteSession[], restartInMs: number): void;
}

/** The place of one worker: a process that is started again when it ends, and the sessions that live in it. */
export class WorkerSlot implements SessionWorker {
  readonly index: number;
  readonly #host: SlotHost;
  readonly #ownSockets: boolean;
  readonly #delay: RestartDelay = new RestartDelay();
  readonly #sessions: Map<number, RemoteSession> = new Map();
  /** How often it has begun: what one generation was promised is nothing to the next. */
  generation = 0;
  /** It listens. */
  ready = false;
  #process: WorkerProcess | undefined;
  #beganAt = 0;
  #past: ServerStatistics = NO_STATISTICS;
  #present: ServerStatistics = NO_STATISTICS;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(index: number, ownSockets: boolean, host: SlotHost) {
    this.index = index;
    this.#host = host;
    this.#ownSockets = ownSockets;
  }

  /** Of its last process, when there is none now. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Sessions that are open; of those that have ended some may still have messages on their way. */
  open = 0;

  get statistics(): ServerStatistics {
    return sumOf([this.#past, this.#present]);
  }

  start(): void {
    this.generation++;
    this.#beganAt = performance.now();
    this.#process = new WorkerProcess(this.#ownSockets, {
      onRecord: (kind, body) => this.#onRecord(kind, body),
      onClose: () => {},
      onExit: (cause) => this.#onExit(cause),
    });
    this.#host.begin(this);
  }

  /** Resolves when the worker has said BYE to its sessions and is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    await this.#process?.close();
  }

  kill(): void {
    this.#process?.kill();
  }

  tell(record: ToWorker): void {
    this.#process?.tell(record);
  }

  /** Hands keys over, and wipes what carried them. */
  tellKeys(request: number, keys: readonly CarriedKey[]): void {
    this.#process?.channel.sendSecret(Kind.keys, encodeKeys(request, keys));
  }

  tellCookieSecrets(current: Secret, previous: Secret): void {
    const both = Buffer.concat([current.expose(), previous.expose()]);
    this.#process?.channel.sendSecret(Kind.cookies, both);
  }

  send(session: number, request: number, message: Uint8Array): void {
    this.#process?.channel.send(Kind.send, session, request, message);
  }

  credit(session: number, bytes: number): void {
    this.#process?.channel.send(Kind.credit, session, bytes, NOTHING);
  }

  accept(session: number, messages: number): void {
    this.#process?.channel.send(Kind.accept, session, messages, NOTHING);
  }

  ask(session: number, request: number, verb: SessionVerb): void {
    this.tell({ type: "ask", session, request, verb });
  }

  end(session: number, reason: CloseReason): void {
    this.tell({ type: "end", session, reason });
  }

  abort(session: number): void {
    this.tell({ type: "abort", session });
  }

  #onRecord(kind: number, body: Buffer): void {
    if (kind === Kind.message) {
      // A copy: the chunk that it lies in is sixty times as large.
      this.#sessions.get(body.readUInt32LE(0))?.take(new Uint8Array(body.subarray(8)));
    } else if (kind === Kind.sent) this.#sessions.get(body.readUInt32LE(0))?.onSent(body.readUInt32LE(4));
    else this.#onValue(readValue(body) as FromWorker);
  }

  #onValue(record: FromWorker): void {
    switch (record.type) {
      case "listening":
        this.ready = true;
        this.#host.onListening(this, record.addresses);
        break;
      case "session":
        this.open++;
        this.#sessions.set(record.session, this.#host.onSession(this, record));
        break;
      case "statistics":
        this.#present = record.statistics;
        break;
      default:
        if ("session" in record) this.#sessionRecord(record);
        else this.#host.onRecord(this, record);
    }
  }

  #sessionRecord(record: SessionRecord): void {
    const session = this.#sessions.get(record.session);
    if (session === undefined) return;
    session.onRecord(record);
    if (record.type === "proven") this.#host.onProven(session);
    if (record.type === "moved") this.#host.onMoved(session, record.move);
    if (record.type === "finished") this.#sessions.delete(record.session);
  }

  #onExit(cause: string): void {
    this.ready = false;
    this.#past = pastOf(this.statistics);
    this.#present = NO_STATISTICS;
    const lost = [...this.#sessions.values()].filter((session) => session.open);
    for (const session of this.#sessions.values()) {
      session.onWorkerLost(`the worker process of this session ended (${cause})`);
    }
    this.#sessions.clear();
    this.open = 0;
    if (this.#stopping) return;
    const restartInMs = this.#delay.after(performance.now() - this.#beganAt);
    this.#restart = setTimeout(() => this.start(), restartInMs);
    this.#host.onEnded(this, cause, lost, restartInMs);
  }
}

const NOTHING = new Uint8Array(0);
