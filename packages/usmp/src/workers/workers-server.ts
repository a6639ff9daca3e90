import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultCrypto } from "@usmp/crypto";
import { type Limits, ProofTrial, parseLimits, parseRekeying, parseTiming, Secret, UsageError } from "@usmp/protocol";
import { iterateOpen } from "../announced.ts";
import type { ListenOptions, Move, Peer, Refusal, RekeySettings, Server, ServerStatistics, Session } from "../api.ts";
import { systemClock } from "../clock.ts";
import { formatDeviceId, parseDeviceId } from "../device-id.ts";
import { DeviceSessions } from "../device-sessions.ts";
import { Inbox } from "../inbox.ts";
import { KeyRing } from "../key-ring.ts";
import { acknowledgeOf, receiveLimit } from "../settings.ts";
import { Turnstile } from "../turnstile.ts";
import { deferred } from "../waiting.ts";
import { type SocketSource, socketSource } from "./own-sockets.ts";
import type { ProvenPair, RefusalRecord, SlotRecord, WorkerSettings, WorkerStart } from "./records.ts";
import { type Begun, RemoteSession } from "./remote-session.ts";
import { sumOf } from "./server-statistics.ts";
import { SessionShares } from "./session-shares.ts";
import { WorkerSlot } from "./worker-slot.ts";

export interface BoundAddress {
  readonly host: string | undefined;
  readonly port: number;
}

/** Where all workers listen: no port is 0. */
export interface BoundAddresses {
  readonly tcp: BoundAddress | undefined;
  readonly udp: BoundAddress | undefined;
}

/** Secrets of cookies change so often (spec section 6). */
const COOKIE_ROTATION_MS = 30_000;
const SECRET_LENGTH = 32;
/** Ended sessions that may wait for an application that iterates, beside as many as are open. */
const ENDED_UNTAKEN = 1_024;

/** A server whose sessions live in worker processes: it starts those, keeps the one view of them all, and answers for their keys. */
export class WorkersServer implements Server {
  readonly sessions: Set<Session> = new Set();
  readonly closed: Promise<void>;
  readonly #options: ListenOptions;
  readonly #limits: Limits;
  readonly #settings: WorkerSettings;
  readonly #receiveBufferBytes: number;
  readonly #keys: KeyRing;
  readonly #sockets: SocketSource = socketSource();
  readonly #slots: readonly WorkerSlot[];
  readonly #shares: SessionShares;
  readonly #devices: DeviceSessions<RemoteSession>;
  readonly #announced: Inbox<Session> = new Inbox();
  readonly #routingKey: Uint8Array = randomBytes(SECRET_LENGTH);
  readonly #resolveClosed: () => void;
  readonly #listening: Map<WorkerSlot, (error: Error | undefined) => void> = new Map();
  /** Who waits for the share that a donor gives up. */
  readonly #giving: Map<number, { readonly donor: WorkerSlot; readonly done: (sessions: number) => void }> = new Map();
  readonly #turnstile: Turnstile = new Turnstile(systemClock);
  #requests = 0;
  #established = 0;
  #addresses: readonly Peer[] = [];
  #bound: BoundAddresses | undefined;
  #mesh: string | undefined;
  #cookieSecrets: readonly [Secret, Secret] = [drawSecret(), drawSecret()];
  #cookieTimer: NodeJS.Timeout | undefined;
  /** Pairs of this turn of the event loop, for all workers but the one that told of them. */
  #pairs: { readonly from: WorkerSlot | undefined; readonly pair: ProvenPair }[] = [];
  /** Of sessions that ended with their worker, until the next one has begun. */
  #lostPairs: readonly ProvenPair[] = [];
  #closing: Promise<void> | undefined;

  constructor(options: ListenOptions, count: number) {
    this.#options = options;
    this.#limits = parseLimits(options.limits);
    parseTiming(options);
    if (typeof options.rekey !== "function") parseRekeying(options.rekey);
    this.#receiveBufferBytes = receiveLimit(options.receiveBufferBytes);
    this.#settings = {
      handshakeTimeoutMs: options.handshakeTimeoutMs,
      keepaliveMs: options.keepaliveMs,
      idleTimeoutMs: options.idleTimeoutMs,
      development: options.development,
      ownDeviceIds: (options.ownDeviceIds ?? []).map((id) => formatDeviceId(parseDeviceId(id, "ownDeviceIds"))),
      rekey: typeof options.rekey === "function" ? undefined : options.rekey,
      receiveBufferBytes: Math.ceil(this.#receiveBufferBytes / 2),
      acknowledge: acknowledgeOf(options.acknowledge),
    };
    this.#shares = new SessionShares(this.#limits.sessions, count);
    this.#devices = new DeviceSessions(this.#limits.unprovenSessionsPerDevice);
    this.#slots = Array.from(
      { length: count },
      (_, index) => new WorkerSlot(index, this.#sockets !== "shared", this.#host),
    );
    this.#keys = new KeyRing(options.psk, options.development ?? false);
    const closed = deferred<void>();
    this.closed = closed.promise;
    this.#resolveClosed = closed.resolve;
  }

  get addresses(): readonly Peer[] {
    return this.#addresses;
  }

  get statistics(): ServerStatistics {
    const sum = sumOf(this.#slots.map((slot) => slot.statistics));
    return { ...sum, sessionsEstablished: this.#established, sessionsOpen: this.sessions.size };
  }

  /** Starts the workers. Rejects when one cannot listen; close() ends the others then. */
  async open(bound: BoundAddresses): Promise<void> {
    this.#bound = bound;
    if (this.#slots.length > 1 && bound.udp !== undefined) this.#mesh = mkdtempSync(join(tmpdir(), "usmp-workers-"));
    const listening = this.#slots.map(
      (slot) =>
        new Promise<void>((resolve, reject) => {
          this.#listening.set(slot, (error) => (error === undefined ? resolve() : reject(error)));
        }),
    );
    for (const slot of this.#slots) slot.start();
    await Promise.all(listening);
    this.#cookieTimer = setInterval(() => this.#rotateCookies(), COOKIE_ROTATION_MS);
    this.#cookieTimer.unref();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<Session, undefined> {
    return iterateOpen(this.#announced);
  }

  readonly #host = {
    begin: (slot: WorkerSlot): void => this.#begin(slot),
    onListening: (slot: WorkerSlot, addresses: readonly Peer[]): void => this.#onListening(slot, addresses),
    onSession: (slot: WorkerSlot, begun: Begun): RemoteSession => this.#onSession(slot, begun),
    onProven: (session: RemoteSession): void => {
      for (const replaced of this.#devices.prove(session)) replaced.end({ code: "replaced" });
    },
    onMoved: (session: RemoteSession, move: Move): void => {
      if (session.open) this.#options.onMoved?.(session, move);
    },
    onRecord: (slot: WorkerSlot, record: SlotRecord): void => this.#onRecord(slot, record),
    onEnded: (slot: WorkerSlot, cause: string, lost: readonly RemoteSession[], restartInMs: number): void =>
      this.#onEnded(slot, cause, lost, restartInMs),
  };

  /** The key goes over the socket pair and nowhere else: not into arguments, environment or files. */
  #begin(slot: WorkerSlot): void {
    const fixed = this.#keys.fixed;
    if (fixed !== undefined) slot.tellKeys(0, [{ secret: fixed, label: undefined }]);
    slot.tell({ type: "start", start: this.#startOf(slot, fixed === undefined) });
    slot.tellCookieSecrets(...this.#cookieSecrets);
  }

  #startOf(slot: WorkerSlot, asksForKeys: boolean): WorkerStart {
    const { application, rekey } = this.#options;
    return {
      index: slot.index,
      count: this.#slots.length,
      ...(this.#bound as BoundAddresses),
      settings: this.#settings,
      limits: this.#limits,
      asksForKeys: asksForKeys || typeof rekey === "function",
      dynamicRekey: typeof rekey === "function",
      sockets: this.#sockets,
      sessions: this.#shares.granted(slot.index) + this.#shares.takeFree(slot.index),
      window: Math.ceil(this.#receiveBufferBytes / 2),
      application: application && { module: String(application.module), data: application.data },
      routingKey: this.#routingKey,
      mesh: this.#mesh && this.#pathOf(slot),
    };
  }

  #pathOf(slot: WorkerSlot): string {
    return join(this.#mesh as string, `${slot.index}.${slot.generation}`);
  }

  #onListening(slot: WorkerSlot, addresses: readonly Peer[]): void {
    this.#addresses = addresses;
    this.#tellPeers();
    // Who was here before a restart is known again, sessions that the old worker lost included.
    if (slot.generation > 1) {
      tellPairs(slot, [...this.#lostPairs, ...[...this.sessions].map(pairOf)]);
      this.#lostPairs = [];
    }
    // Those that came with the start were there before its socket was.
    slot.tellCookieSecrets(...this.#cookieSecrets);
    this.#listening.get(slot)?.(undefined);
    this.#listening.delete(slot);
    this.#options.onWorker?.({ type: "started", worker: slot.index, pid: slot.pid });
  }

  #tellPeers(): void {
    if (this.#mesh === undefined) return;
    const peers = this.#slots
      .filter(({ ready }) => ready)
      .map((slot) => ({ index: slot.index, path: this.#pathOf(slot) }));
    for (const slot of this.#slots) if (slot.ready) slot.tell({ type: "peers", peers });
  }

  #onSession(slot: WorkerSlot, begun: Begun): RemoteSession {
    const owner = { onClosed: (closed: RemoteSession) => this.#onClosed(slot, closed) };
    const session = new RemoteSession(begun, slot, owner, Math.ceil(this.#receiveBufferBytes / 2));
    this.#established++;
    this.sessions.add(session);
    this.#shareProven(slot, session);
    this.#devices.add(session)?.end({ code: "replaced" });
    if (this.#options.onSession === undefined) this.#announced.push(session);
    else this.#options.onSession(session);
    return session;
  }

  #onClosed(slot: WorkerSlot, session: RemoteSession): void {
    this.sessions.delete(session);
    slot.open--;
    // Where it was last: that is where the device will come from next.
    if (this.#devices.isProven(session)) this.#shareProven(slot, session);
    this.#devices.remove(session);
    if (this.#announced.length > 2 * this.sessions.size + ENDED_UNTAKEN) this.#announced.keepOnly(({ open }) => open);
  }

  #onRecord(slot: WorkerSlot, record: SlotRecord): void {
    switch (record.type) {
      case "failed":
        this.#onFailed(slot, record);
        break;
      case "keys":
        this.#takeTurn(() => void this.#answerKeys(slot, record.request, record.deviceId, record.peer));
        break;
      case "refused":
        this.#onRefused(record.refusal);
        break;
      case "want":
        this.#onWant(slot, record.request, record.deviceId);
        break;
      case "gave":
        this.#giving.get(record.request)?.done(record.sessions);
        break;
    }
  }

  #onFailed(slot: WorkerSlot, { error, message }: SlotRecord & { readonly type: "failed" }): void {
    const waiting = this.#listening.get(slot);
    this.#listening.delete(slot);
    waiting?.(error === "usage" ? new UsageError("invalid-option", message) : new Error(message));
    // Of one that was started again: it ends, and is tried again later.
    if (waiting === undefined) slot.kill();
  }

  #onEnded(slot: WorkerSlot, cause: string, lost: readonly RemoteSession[], restartInMs: number): void {
    for (const { donor, done } of [...this.#giving.values()]) if (donor === slot) done(0);
    this.#shares.noteEnded(slot.index);
    this.#lostPairs = [...this.#lostPairs, ...lost.map(pairOf)];
    const waiting = this.#listening.get(slot);
    this.#listening.delete(slot);
    waiting?.(new Error(`a worker process ended before it listened (${cause})`));
    this.#tellPeers();
    if (this.#closing !== undefined || waiting !== undefined) return;
    const { index: worker, pid } = slot;
    this.#options.onWorker?.({ type: "ended", worker, pid, cause, lostSessions: lost.length, restartInMs });
  }

  /** Keys are derived and opened for each handshake: a crowd of those must leave messages their turn here as well. */
  #takeTurn(work: () => void): void {
    if (this.#turnstile.busy) this.#turnstile.wait(work, true);
    else this.#turnstile.pass(work);
  }

  /** Asks the application as a server in this process would; what it gave to keep is wiped when it is on its way. */
  async #answerKeys(slot: WorkerSlot, request: number, deviceId: string, peer: Peer): Promise<void> {
    const { generation } = slot;
    const { keys, problem } = await this.#keys.find(deviceId, peer);
    try {
      if (slot.generation !== generation) return;
      const rekey = this.#rekeyOf(deviceId);
      if (rekey !== undefined) slot.tell({ type: "rekeying", deviceId, rekey });
      if (problem !== undefined && keys.length === 0) slot.tell({ type: "no-keys", request, problem });
      else
        slot.tellKeys(
          request,
          keys.map(({ secret, label }) => ({ secret, label })),
        );
    } finally {
      for (const { secret, owned } of keys) if (owned && secret !== this.#keys.fixed) secret.wipe();
    }
  }

  #rekeyOf(deviceId: string): RekeySettings | undefined {
    const { rekey } = this.#options;
    if (typeof rekey !== "function") return undefined;
    try {
      return rekey(deviceId);
    } catch {
      return undefined;
    }
  }

  #onRefused({ tried, ...refusal }: RefusalRecord): void {
    const { onRefused } = this.#options;
    const proof = tried && new ProofTrial(defaultCrypto(), tried.proof, tried.transcript);
    if (onRefused === undefined) proof?.wipe();
    else onRefused(withoutUndefined({ ...refusal, proof }));
  }

  /**
   * A worker needs room for sessions. Who has most to spare gives half of it. Nothing here waits for a promise: what was given must be told
   * to the one before anything else is said to it, or the next question would find it nowhere.
   */
  #onWant(slot: WorkerSlot, request: number | undefined, deviceId: string | undefined): void {
    const { generation } = slot;
    const grant = (sessions: number): void => {
      // Another worker in its place has asked nothing; what was moved to it is its own all the same.
      const asked = slot.generation === generation ? request : undefined;
      const fits = deviceId !== undefined && this.#devices.count(deviceId) === 1;
      slot.tell({ type: "grant", sessions, request: asked, fits });
    };
    const free = this.#shares.takeFree(slot.index);
    const found = free > 0 ? undefined : this.#shares.donorFor(slot.index, (worker) => this.#openIn(worker));
    const donor = found && this.#slots[found.worker];
    if (found === undefined || donor === undefined || !donor.ready) return grant(free);
    const giving = ++this.#requests;
    const done = (sessions: number): void => {
      this.#giving.delete(giving);
      this.#shares.move(donor.index, slot.index, sessions);
      grant(sessions);
    };
    this.#giving.set(giving, { donor, done });
    donor.tell({ type: "give", most: found.most, request: giving });
  }

  #openIn(worker: number): number {
    return this.#slots[worker]?.open ?? 0;
  }

  /** All workers know where devices proved themselves, whichever they came to. */
  #shareProven(from: WorkerSlot, session: RemoteSession): void {
    if (this.#slots.length === 1) return;
    if (this.#pairs.length === 0) setImmediate(() => this.#tellProven());
    this.#pairs.push({ from, pair: pairOf(session) });
  }

  #tellProven(): void {
    const told = this.#pairs;
    this.#pairs = [];
    for (const slot of this.#slots) {
      const pairs = told.filter(({ from }) => from !== slot).map(({ pair }) => pair);
      if (slot.ready) tellPairs(slot, pairs);
    }
  }

  #rotateCookies(): void {
    const [current, previous] = this.#cookieSecrets;
    previous.wipe();
    this.#cookieSecrets = [drawSecret(), current];
    for (const slot of this.#slots) slot.tellCookieSecrets(...this.#cookieSecrets);
  }

  async #close(): Promise<void> {
    clearInterval(this.#cookieTimer);
    await Promise.all(this.#slots.map((slot) => slot.stop()));
    for (const secret of this.#cookieSecrets) secret.wipe();
    this.#keys.wipe();
    this.#routingKey.fill(0);
    if (this.#mesh !== undefined) rmSync(this.#mesh, { recursive: true, force: true });
    this.#announced.end();
    this.#resolveClosed();
  }
}

function drawSecret(): Secret {
  const bytes = randomBytes(SECRET_LENGTH);
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}

function pairOf({ deviceId, peer }: Session): ProvenPair {
  return { deviceId, host: peer.host };
}

function withoutUndefined(refusal: Refusal): Refusal {
  const { proof, breach, ...rest } = refusal;
  return { ...rest, ...(proof === undefined ? {} : { proof }), ...(breach === undefined ? {} : { breach }) };
}

/** A record has at most a mebibyte, and a pair up to a hundred bytes. */
const PAIRS_A_RECORD = 1_000;

function tellPairs(slot: WorkerSlot, pairs: readonly ProvenPair[]): void {
  for (let at = 0; at < pairs.length; at += PAIRS_A_RECORD) {
    slot.tell({ type: "proven-pairs", pairs: pairs.slice(at, at + PAIRS_A_RECORD) });
  }
}
