import { accessSync, chmodSync, constants, mkdirSync, readdirSync, statSync } from "node:fs";
import { addMs } from "@usmp/protocol";
import {
  type Clock,
  type ListenOptions,
  listen,
  type Move,
  type Server,
  type Session,
  systemClock,
  type WorkerEvent,
} from "usmp";
import { findRunning } from "../control/client.ts";
import { createControlMethods } from "../control/control-methods.ts";
import { ControlServer } from "../control/server.ts";
import { GatewayError } from "../errors.ts";
import { GatewayEvents, type SessionFacts } from "../events/gateway-events.ts";
import type { HttpAddress } from "../http/http-server.ts";
import { codeOf, messageOf } from "../master/secret-file.ts";
import { type Inbound, openInbound } from "../messages/inbound/open-inbound.ts";
import { openOutbound } from "../messages/outbound/open-outbound.ts";
import type { OutboundQueue } from "../messages/outbound/outbound-queue.ts";
import { type MessageStorage, openMessageStorage } from "../messages/storage.ts";
import { Observed } from "../observe/observed.ts";
import { type OpenedRegistry, openRegistry } from "../registry/open-registry.ts";
import type { Registry } from "../registry/registry.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";
import { Refusals } from "../why/refusals.ts";
import { DeviceSessions } from "./device-sessions.ts";
import type { Gateway, GatewayOptions, GatewaySession } from "./gateway.ts";
import { type OpenedHttp, openHttp } from "./open-http.ts";

/** Graces end, and what was refused is written, within so long. */
const HOUSEKEEPING_MS = 1_000;
/** How long an end waits for the fates of messages that devices have been handed: without them they would arrive twice. */
const FATES_MS = 1_000;
/** How long it then waits for the database: with the rest less than the five seconds that an end may take. */
const STORED_MS = 3_000;

/**
 * Starts a gateway: opens the registry, listens for devices, and answers the command line on its control socket. Rejects with GatewayError,
 * or as listen() does; then nothing is left open.
 */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  makePrivate(options.dataDirectory);
  const running = await findRunning(options.dataDirectory);
  if (running !== undefined) {
    throw new GatewayError(
      "already-running",
      `a gateway runs on ${options.dataDirectory} already (pid ${running.pid}); stop it, or give another directory with --data DIR`,
    );
  }
  const opened = await openRegistry(options);
  const storage = await openMessageStorage(options).catch(async (error: unknown) => {
    await opened.registry.close();
    throw error;
  });
  const gateway = new LiveGateway(opened, storage, options);
  try {
    await gateway.open(options);
  } catch (error) {
    await gateway.close();
    throw error;
  }
  return gateway;
}

class LiveGateway implements Gateway {
  readonly registry: Registry;
  readonly created: boolean;
  readonly masterExposure: Gateway["masterExposure"];
  readonly events: GatewayEvents = new GatewayEvents();
  readonly #opened: OpenedRegistry;
  readonly #storage: MessageStorage;
  readonly #clock: Clock;
  readonly #sessions: DeviceSessions = new DeviceSessions();
  readonly #refusals: Refusals;
  readonly #observed: Observed;
  readonly #listeners: Set<(session: GatewaySession) => void> = new Set();
  #inbound: Inbound | undefined;
  #outbound: OutboundQueue | undefined;
  #server: Server | undefined;
  #control: ControlServer | undefined;
  #http: OpenedHttp | undefined;
  #cancelHousekeeping: (() => void) | undefined;
  #housekeeping: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(opened: OpenedRegistry, storage: MessageStorage, options: GatewayOptions) {
    const { clock = systemClock } = options;
    this.#opened = opened;
    this.#storage = storage;
    this.registry = opened.registry;
    this.created = opened.created;
    this.masterExposure = opened.exposure;
    this.#clock = clock;
    this.#refusals = new Refusals(opened.registry, opened.wallClock, clock);
    this.#observed = new Observed({
      options,
      opened,
      clock,
      events: this.events,
      server: () => this.#server,
      closing: () => this.#closing !== undefined,
    });
    this.registry.onChange((change) => {
      this.#sessions.endBy(change);
      this.#outbound?.onChange(change);
      this.events.emit({ type: "registry", time: opened.wallClock.now(), change });
    });
    this.#refusals.onRecord((record) => this.events.emit({ type: "refused", record }));
  }

  async open(options: GatewayOptions): Promise<void> {
    await this.#refusals.load();
    this.#inbound = await openInbound(this.#opened, this.#storage, options.messages, this.events, this.#clock);
    await this.#observed.open();
    this.#outbound = await openOutbound({
      opened: this.#opened,
      storage: this.#storage,
      sessions: this.#sessions,
      settings: options.messages,
      events: this.events,
      clock: this.#clock,
    });
    this.#observed.follow(this.#storage, this.#inbound.intake, this.#outbound);
    this.#server = await listen({
      tcp: options.tcp,
      udp: options.udp,
      limits: options.limits,
      crypto: options.crypto,
      development: options.development,
      clock: this.#clock,
      acknowledge: options.messages?.durable ? "accepted" : "received",
      // The labels are generations; 0 are decoys, which prove nothing. Always two, so that every id costs the same.
      psk: (id) => this.registry.candidates(id).map(({ key, generation }) => ({ psk: key, label: generation })),
      onSession: (session) => this.#admit(session),
      onMoved: (session, move) => this.#noteMoved(session, move),
      onRefused: (refusal) => this.#refusals.note(refusal),
      ...this.#workerOptions(options),
    });
    const methods = createControlMethods({
      server: this.#server,
      opened: this.#opened,
      storage: this.#storage,
      inbound: this.#inbound,
      outbound: this.#outbound,
      sessions: this.#sessions,
      refusals: this.#refusals,
      events: this.events,
      observed: this.#observed,
      options,
      startedAt: this.#opened.wallClock.now(),
    });
    this.#control = await ControlServer.open(
      options.dataDirectory,
      { version: options.version, dev: options.development },
      methods,
    );
    this.#http = await openHttp(options, methods, this.#opened, {
      clock: this.#clock,
      observed: this.#observed,
    });
    this.#scheduleHousekeeping();
  }

  get server(): Server {
    return this.#server as Server;
  }

  get httpAddress(): HttpAddress | undefined {
    return this.#http?.server.address;
  }

  takeFirstToken(): string | undefined {
    return this.#http?.takeFirstToken();
  }

  session(id: string): GatewaySession | undefined {
    return this.#sessions.get(id);
  }

  onSession(listener: (session: GatewaySession) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onRefused(listener: (record: RefusalRecord) => void): () => void {
    return this.#refusals.onRecord(listener);
  }

  metricsText(): Promise<string> {
    return this.#observed.metricsText();
  }

  health(): ReturnType<Gateway["health"]> {
    return this.#observed.health({ details: true });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #admit(session: Session): void {
    const admitted = this.#sessions.admit(session, this.registry);
    if (admitted === undefined) return this.#refusals.noteOvertaken(session);
    this.#observed.sampler.add(admitted);
    const facts = factsOf(admitted);
    const now = (): number => this.#opened.wallClock.now();
    const inbound = this.#inbound as Inbound;
    void session.closed.then(async (reason) => {
      this.#sessions.remove(admitted);
      this.#refusals.noteEnd(session, reason);
      // Its messages are told first.
      await read;
      this.events.emit({ type: "session-ended", time: now(), reason, ...facts });
    });
    // A proof that cannot be written now is kept and written later; the session is good all the same.
    this.registry.noteProven(session.deviceId, admitted.generation).catch(() => {});
    this.events.emit({ type: "session", time: now(), ...facts });
    const read = inbound.intake.read(admitted);
    this.#outbound?.onSession(admitted);
    for (const listener of this.#listeners) listener(admitted);
  }

  #workerOptions({ workers = 1, onWorker }: GatewayOptions): Pick<ListenOptions, "workers" | "onWorker"> {
    if (workers === 1) return {};
    const note = (event: WorkerEvent): void => {
      this.#observed.workers.note(event);
      onWorker?.(event);
    };
    return { workers, onWorker: note };
  }

  #noteMoved(session: Session, move: Move): void {
    const moved = this.#sessions.find(session);
    if (moved === undefined) return;
    this.events.emit({ type: "moved", time: this.#opened.wallClock.now(), move, ...factsOf(moved) });
  }

  #scheduleHousekeeping(): void {
    this.#cancelHousekeeping = this.#clock.schedule(addMs(this.#clock.now(), HOUSEKEEPING_MS), () => {
      this.#housekeeping = this.#keepHouse().then(() => {
        if (this.#closing === undefined) this.#scheduleHousekeeping();
      });
    });
  }

  /** What the database does not take now waits for the next time; `doctor` tells of its trouble. */
  async #keepHouse(): Promise<void> {
    await this.registry.endGraces().catch(() => {});
    await this.#refusals.save().catch(() => {});
    this.#inbound?.keepHouse();
    await this.#outbound?.keepHouse();
  }

  async #close(): Promise<void> {
    this.#cancelHousekeeping?.();
    const doors = Promise.all([this.#http?.server.close(), this.#control?.close()]);
    await this.#outbound?.stop(FATES_MS);
    // BYE to all, whatever the database does.
    await this.#server?.close();
    await this.#within(STORED_MS, this.#storeTheRest(doors));
  }

  async #storeTheRest(doors: Promise<unknown>): Promise<void> {
    await this.#inbound?.intake.close();
    await this.#outbound?.close();
    await doors;
    await this.#housekeeping;
    await this.#refusals.save(true).catch(() => {});
    await this.#observed.close();
    await this.#storage.close();
    await this.registry.close();
  }

  /** A database that hangs is left behind: what it had promised is durable already. */
  async #within(ms: number, work: Promise<void>): Promise<void> {
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.schedule(addMs(this.#clock.now(), ms), resolve);
    });
    await Promise.race([work, late]).finally(() => cancel());
  }
}

function factsOf({ session, generation }: GatewaySession): SessionFacts {
  return { device: session.deviceId, session: session.sessionId, generation, peer: session.peer };
}

/** What shows that a directory is a gateway's, or of `usmp serve`'s predecessor. */
const OWN_FILES = ["usmp.db", "master", "psk"];

/** Makes the directory, or checks that it is nobody else's. Keys and the control socket lie in it. */
function makePrivate(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  checkWritable(directory);
  if (process.platform === "win32") return;
  const { uid, mode } = statSync(directory);
  if (uid !== process.geteuid?.() && process.geteuid?.() !== 0) {
    throw new GatewayError(
      "usage",
      `the data directory ${directory} belongs to another user (uid ${uid}); run as that user, or give another with --data DIR`,
    );
  }
  if ((mode & 0o077) === 0) return;
  const content = readdirSync(directory);
  if (content.length > 0 && !OWN_FILES.some((name) => content.includes(name))) {
    throw new GatewayError(
      "usage",
      `the data directory ${directory} holds files of something else, and others may look into it (mode ${(mode & 0o777).toString(8)}); ` +
        `give an empty one with --data DIR, or run "chmod 700 ${directory}"`,
    );
  }
  chmodSync(directory, 0o700);
}

/** The database would say "disk I/O error" of it. */
function checkWritable(directory: string): void {
  try {
    accessSync(directory, constants.W_OK);
  } catch (error) {
    const problem = codeOf(error) === "EROFS" ? "it lies on a read-only file system" : messageOf(error);
    throw new GatewayError(
      "database",
      `the data directory ${directory} cannot be written: ${problem}; let it be written, or give another with --data DIR`,
      { cause: error },
    );
  }
}
