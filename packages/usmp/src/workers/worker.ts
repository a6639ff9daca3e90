/** The program of a worker process: a server of its own behind the port that all share. It is started by listen(), never by hand. */
import cluster from "node:cluster";
import { Socket } from "node:net";
import { serialize } from "node:v8";
import { defaultCrypto } from "@usmp/crypto";
import { divideLimits, Secret, UsageError } from "@usmp/protocol";
import { AddressError } from "@usmp/transport";
import type { LabelledPsk, ListenOptions, Peer, PskAnswer, Refusal, RekeySettings, SessionHandler } from "../api.ts";
import { systemClock } from "../clock.ts";
import { type LiveServer, openServer, type ServerPart } from "../server.ts";
import type { LiveSession } from "../session.ts";
import { Channel, readValue } from "./channel.ts";
import { decodeKeys } from "./keys-record.ts";
import { Mesh } from "./mesh.ts";
import { ownSocket } from "./own-sockets.ts";
import { SessionOwners } from "./owner-of-session.ts";
import { type FromWorker, Kind, type RefusalRecord, type ToWorker, type WorkerStart } from "./records.ts";
import { Relay, type RelayContext, UNLABELLED } from "./relay.ts";
import { Shard } from "./shard.ts";

/** Of the socket pair to the process that listens. */
const CHANNEL_FD = 4;
const STATISTICS_MS = 250;
/** When this part of all sessions is left, more are asked for. */
const LOW_SHARE = 8;
const COOKIE_SECRET_LENGTH = 32;
/** How long the last bytes of sessions may take when the process that listens is gone. */
const ORPHAN_MS = 1_000;

/** Room that handshakes under way may keep from other workers: a flood of those must not keep all of it. */
const MOST_KEPT = 16;
/** Answers for handshakes under way: more than there may be. */
const MAX_REMEMBERED = 4_096;

interface KeyAnswer {
  readonly keys: readonly LabelledPsk[];
  readonly problem: string | undefined;
}

class Worker {
  readonly #channel: Channel;
  readonly #relays: Map<number, Relay> = new Map();
  readonly #running: Set<Promise<void>> = new Set();
  readonly #keyRequests: Map<number, (answer: KeyAnswer) => void> = new Map();
  readonly #roomRequests: Map<number, (fits: boolean) => void> = new Map();
  readonly #rekeying: Map<string, RekeySettings> = new Map();
  /** Devices that may have one session more than there is room for, because it replaces theirs elsewhere. */
  readonly #fitting: Map<string, true> = new Map();
  #fixedKey: Secret | undefined;
  #server: LiveServer | undefined;
  #shard: Shard | undefined;
  #mesh: Mesh | undefined;
  #sessions = 0;
  #granted = 0;
  #wanted = false;
  #requests = 0;
  #lastStatistics = "";
  #statisticsTimer: NodeJS.Timeout | undefined;
  #closing = false;

  constructor() {
    this.#channel = new Channel(new Socket({ fd: CHANNEL_FD, readable: true, writable: true }), {
      onRecord: (kind, body) => this.#onRecord(kind, body),
      onClose: () => this.#onOrphaned(),
    });
  }

  #tell(record: FromWorker): void {
    this.#channel.sendValue(Kind.value, record);
  }

  #onRecord(kind: number, body: Buffer): void {
    switch (kind) {
      case Kind.send:
        // Without a relay "finished" is on its way to whoever sent this: with that it gives up what is unsent.
        this.#relays.get(body.readUInt32LE(0))?.send(body.readUInt32LE(4), new Uint8Array(body.subarray(8)));
        break;
      case Kind.credit:
        this.#relays.get(body.readUInt32LE(0))?.onCredit(body.readUInt32LE(4));
        break;
      case Kind.accept:
        this.#relays.get(body.readUInt32LE(0))?.onAccept(body.readUInt32LE(4));
        break;
      case Kind.keys:
        this.#onKeys(body);
        break;
      case Kind.cookies:
        this.#shard?.shareCookieSecrets(
          new Secret(body.subarray(0, COOKIE_SECRET_LENGTH)),
          new Secret(body.subarray(COOKIE_SECRET_LENGTH)),
        );
        body.fill(0);
        break;
      case Kind.value:
        this.#onValue(readValue(body) as ToWorker);
        break;
    }
  }

  #onValue(record: ToWorker): void {
    switch (record.type) {
      case "start":
        void this.#start(record.start);
        break;
      case "no-keys":
        this.#answerKeys(record.request, { keys: [], problem: record.problem });
        break;
      case "rekeying":
        remember(this.#rekeying, record.deviceId, record.rekey);
        break;
      case "ask":
        this.#relays.get(record.session)?.ask(record.request, record.verb);
        break;
      case "end":
        this.#sessionOf(record.session)?.end(record.reason);
        break;
      case "abort":
        this.#sessionOf(record.session)?.abort();
        break;
      case "proven-pairs":
        for (const { deviceId, host } of record.pairs) this.#server?.noteProvenPair(deviceId, host);
        break;
      case "grant":
        this.#granted += record.sessions;
        this.#wanted = false;
        if (record.request !== undefined) {
          this.#roomRequests.get(record.request)?.(record.fits);
          this.#roomRequests.delete(record.request);
        }
        break;
      case "give":
        this.#give(record.most, record.request);
        break;
      case "peers":
        this.#shard?.setPeers(record.peers);
        break;
      case "close":
        void this.#close();
        break;
    }
  }

  /** A server of this process has no other sessions. */
  #sessionOf(number: number): LiveSession | undefined {
    return this.#relays.get(number)?.session as LiveSession | undefined;
  }

  async #start(start: WorkerStart): Promise<void> {
    try {
      await this.#open(start);
      this.#tell({ type: "listening", addresses: (this.#server as LiveServer).addresses });
      this.#statisticsTimer = setInterval(() => this.#tellStatistics(), STATISTICS_MS);
    } catch (error) {
      const usage = error instanceof UsageError || error instanceof AddressError;
      const message = error instanceof Error ? error.message : String(error);
      this.#tell({ type: "failed", error: usage ? "usage" : "listen", message });
    }
  }

  async #open(start: WorkerStart): Promise<void> {
    this.#granted = start.sessions;
    const context: RelayContext = {
      channel: this.#channel,
      window: start.window,
      handler: await handlerOf(start),
      data: start.application?.data,
      tell: (record) => this.#tell(record),
    };
    if (start.mesh !== undefined) await this.#openShard(start, start.mesh);
    const part: ServerPart = {
      hasRoom: (deviceId, open) => this.#hasRoom(deviceId, open),
      shard: this.#shard,
      tcpSocket: start.tcp === undefined ? {} : await ownSocket(start.sockets, "tcp", start.tcp),
      udpSocket: start.udp === undefined ? {} : await ownSocket(start.sockets, "udp", start.udp),
    };
    this.#server = await openServer(this.#options(start, context), part);
  }

  async #openShard(start: WorkerStart, path: string): Promise<void> {
    const owners = new SessionOwners(defaultCrypto(), start.routingKey, start.count);
    const shard = new Shard({
      self: start.index,
      count: start.count,
      shared: start.sockets === "shared",
      ownerOf: (sessionId) => owners.ownerOf(sessionId),
      now: () => systemClock.now(),
    });
    this.#mesh = await Mesh.open(start.index, path, {
      onDatagram: (data, from, hops, by) => shard.onDatagram(data, from, hops, by),
      onClaim: (from, by) => shard.onClaim(from, by),
    });
    shard.join(this.#mesh);
    this.#shard = shard;
  }

  /** A proof and its transcript are what a key could be guessed from: they go as secrets do. */
  #tellRefused(refusal: RefusalRecord): void {
    const record: FromWorker = { type: "refused", refusal };
    if (refusal.tried === undefined) return this.#tell(record);
    this.#channel.sendSecret(Kind.value, serialize(record));
    refusal.tried.proof.fill(0);
  }

  #options(
    { tcp, udp, settings, limits, count, asksForKeys, dynamicRekey }: WorkerStart,
    context: RelayContext,
  ): ListenOptions {
    return {
      ...settings,
      ...(dynamicRekey ? { rekey: (deviceId: string) => this.#takeRekeying(deviceId) } : {}),
      tcp,
      udp,
      limits: divideLimits(limits, count),
      psk: (deviceId, peer) => this.#lookUp(deviceId, peer, asksForKeys),
      onSession: (session) => {
        const number = ++this.#sessions;
        this.#fitting.delete(session.deviceId);
        const relay = new Relay(number, session, context);
        this.#relays.set(number, relay);
        this.#askForMore();
        const running = relay.run().finally(() => {
          this.#relays.delete(number);
          this.#running.delete(running);
        });
        this.#running.add(running);
        numbers.set(session, number);
      },
      onMoved: (session, move) => {
        const number = numbers.get(session);
        if (number !== undefined) this.#tell({ type: "moved", session: number, move, peer: session.peer });
      },
      onRefused: (refusal) => this.#tellRefused(laidOpen(refusal)),
    };
  }

  /** At once where that is possible: the one key for all, while there is room. */
  #lookUp(deviceId: string, peer: Peer, asks: boolean): PskAnswer | Promise<PskAnswer> {
    const full = this.#room <= 0;
    if (!asks && !full) return this.#fixedKey;
    return this.#askFor(deviceId, peer, asks, full);
  }

  async #askFor(deviceId: string, peer: Peer, asks: boolean, full: boolean): Promise<PskAnswer> {
    if (full && (await this.#askForRoom(deviceId))) remember(this.#fitting, deviceId, true);
    if (!asks) return this.#fixedKey;
    const request = ++this.#requests;
    const { keys, problem } = await new Promise<KeyAnswer>((resolve) => {
      this.#keyRequests.set(request, resolve);
      this.#tell({ type: "keys", request, deviceId, peer });
    });
    if (problem !== undefined) throw new Error(problem);
    return keys;
  }

  #onKeys(body: Buffer): void {
    const { request, keys } = decodeKeys(body);
    if (request === 0) this.#fixedKey = keys[0]?.secret;
    else {
      const labelled = keys.map(({ secret, label }) => ({ psk: secret, label: label ?? UNLABELLED }));
      this.#answerKeys(request, { keys: labelled, problem: undefined });
    }
  }

  #answerKeys(request: number, answer: KeyAnswer): void {
    this.#keyRequests.get(request)?.(answer);
    this.#keyRequests.delete(request);
  }

  #takeRekeying(deviceId: string): RekeySettings {
    const settings = this.#rekeying.get(deviceId) ?? {};
    this.#rekeying.delete(deviceId);
    return settings;
  }

  get #room(): number {
    return this.#granted - (this.#server?.sessions.size ?? 0);
  }

  #hasRoom(deviceId: string, open: number): boolean {
    return open < this.#granted || this.#fitting.delete(deviceId);
  }

  #askForRoom(deviceId: string): Promise<boolean> {
    const request = ++this.#requests;
    return new Promise((resolve) => {
      this.#roomRequests.set(request, resolve);
      this.#tell({ type: "want", request, deviceId });
    });
  }

  /** Before there is need: most handshakes then find room without asking. */
  #askForMore(): void {
    if (this.#wanted || this.#room > this.#granted / LOW_SHARE) return;
    this.#wanted = true;
    this.#tell({ type: "want", request: undefined, deviceId: undefined });
  }

  #give(most: number, request: number): void {
    // Handshakes under way were let on because there was room for them.
    const kept = Math.min(this.#server?.statistics.handshakesOpen ?? 0, MOST_KEPT);
    const sessions = Math.max(0, Math.min(most, this.#room - kept));
    this.#granted -= sessions;
    this.#tell({ type: "gave", sessions, request });
  }

  #tellStatistics(): void {
    const statistics = this.#server?.statistics;
    if (statistics === undefined) return;
    const text = JSON.stringify(statistics);
    if (text === this.#lastStatistics) return;
    this.#lastStatistics = text;
    this.#tell({ type: "statistics", statistics });
  }

  async #close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearInterval(this.#statisticsTimer);
    await this.#server?.close();
    await Promise.all(this.#running);
    this.#fixedKey?.wipe();
    this.#tellStatistics();
    this.#mesh?.close();
    this.#channel.end();
  }

  /** The process that listens is gone: sessions hear BYE, and that is all. */
  #onOrphaned(): void {
    if (this.#closing) process.exit(0);
    this.#closing = true;
    setTimeout(() => process.exit(0), ORPHAN_MS);
    void Promise.resolve(this.#server?.close()).finally(() => process.exit(0));
  }
}

/** For handshakes that may never end: the oldest are forgotten. */
function remember<T>(map: Map<string, T>, deviceId: string, value: T): void {
  map.delete(deviceId);
  map.set(deviceId, value);
  if (map.size > MAX_REMEMBERED) map.delete(map.keys().next().value as string);
}

/** Numbers of sessions, for what hears of the session alone. */
const numbers: WeakMap<object, number> = new WeakMap();

async function handlerOf({ application }: WorkerStart): Promise<SessionHandler | undefined> {
  if (application === undefined) return undefined;
  const { default: handler } = (await import(application.module)) as { default?: unknown };
  if (typeof handler === "function") return handler as SessionHandler;
  throw new UsageError("invalid-option", `application.module ${application.module} has no default export to call`);
}

function laidOpen({ proof, peer, claimedDeviceId, reason, breach }: Refusal): RefusalRecord {
  return { peer, claimedDeviceId, reason, breach, tried: proof?.take() };
}

// Both reach the whole group or unit: the process that listens hears them as well, and says what is to be done.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
// Node would end this process with the one that listens, before any BYE.
if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
new Worker();
