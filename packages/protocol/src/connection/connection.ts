import type { CryptoProvider } from "../crypto/provider.ts";
import { UsageError } from "../errors.ts";
import type { ProofTrial } from "../handshake/proof-trial.ts";
import { addMs, earliest, type Instant, instant } from "../time.ts";
import { FrameType } from "../wire/frame.ts";
import { type ConnectionConfig, DEFAULT_REKEYING, type RekeyPolicy, rekeyingFor, type Timing } from "./config.ts";
import { ControlTraffic } from "./control-traffic.ts";
import { Counters } from "./counters.ts";
import type { Breach, CloseReason, ConnectionEvent, HandshakeAwait, Undelivered } from "./events.ts";
import { KeyLife, type KeyLimit } from "./key-life.ts";

export type ConnectionState = "handshaking" | "established" | "closing" | "closed";

/** Our own REKEYs are at least this far apart (spec section 4). */
const MIN_REKEY_INTERVAL_MS = 1_000;
/** A line without traffic for so long is quiet: a peer that answers at once has answered. */
const QUIET_MS = 1_000;
/** How long keys that have reached a limit wait for a quiet line. */
const MAX_WAIT_FOR_QUIET_MS = 600_000;
/** How long a peer may take to show that it is one of ours. */
const MAX_WAIT_FOR_ANSWER_MS = 15_000;
const NEVER: Instant = instant(Number.POSITIVE_INFINITY);
const NOTHING_UNDELIVERED: Undelivered = { unknown: [], unsent: [] };

/**
 * One USMP connection as a state machine without I/O: no socket, no clock, nothing asynchronous.
 *
 * Methods are of four kinds: getters; `handle*` for what comes from outside, `provideKeys` among them; application calls (`send`,
 * `ping`, `rekey`, `close`, `abort`); `poll*` for what goes out. After any input or call the driver polls `pollTransmit` and
 * `pollEvent` until both answer undefined, then arms one alarm at `pollTimeout`. Late and spurious timeouts are harmless.
 * Peer bytes never throw: they end in a drop that is counted, or in a `closed` event with the reason. UsageError is the caller's.
 */
export abstract class Connection {
  readonly counters: Counters = new Counters();
  protected readonly crypto: CryptoProvider;
  protected readonly control: ControlTraffic = new ControlTraffic();
  protected lastSentAt: Instant;
  protected lastReceivedAt: Instant;
  readonly #timing: Timing;
  readonly #config: ConnectionConfig;
  readonly #startedAt: Instant;
  #pingedAt: Instant;
  /** The first event that waits, and those behind it: mostly there is none, or one. */
  #event: ConnectionEvent | undefined;
  #laterEvents: ConnectionEvent[] | undefined;
  #timeoutMoved = true;
  #state: ConnectionState = "handshaking";
  #pingWanted = false;
  #rekeyWanted = false;
  #rekeyedAt: Instant | undefined;
  #epoch = 0;
  #keyLife: KeyLife | undefined;
  #rekeyPolicy: RekeyPolicy = DEFAULT_REKEYING.policy;
  /** Since when the keys have been over a limit. */
  #expired: { readonly limit: KeyLimit; readonly at: Instant } | undefined;

  protected constructor(config: ConnectionConfig, now: Instant) {
    this.crypto = config.crypto;
    this.#timing = config.timing;
    this.#config = config;
    this.#startedAt = now;
    this.#pingedAt = now;
    this.lastSentAt = now;
    this.lastReceivedAt = now;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The epoch that we send under: 0, and one more for each rekey. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Smoothed round trip in milliseconds, where the transport measures one. */
  abstract get roundTripMs(): number | undefined;

  /** Where the peer broke the protocol, once the connection has ended for that; in-order transports alone. */
  get breach(): Breach | undefined {
    return undefined;
  }

  /** Server: the last proof that was refused, once, and also after the end. Its holder wipes it. */
  takeProofTrial(): ProofTrial | undefined {
    return undefined;
  }

  pollEvent(): ConnectionEvent | undefined {
    const event = this.#event;
    this.#event = this.#laterEvents?.shift();
    if (this.#event === undefined) this.#laterEvents = undefined;
    return event;
  }

  /**
   * True when pollTimeout() may answer an earlier moment than before. Messages alone only put it off, and a driver whose alarm rings
   * early finds nothing due.
   */
  get timeoutMoved(): boolean {
    return this.#timeoutMoved;
  }

  /** When handleTimeout() is due; undefined when nothing ever will be. */
  pollTimeout(): Instant | undefined {
    this.#timeoutMoved = false;
    switch (this.#state) {
      case "handshaking":
        return earliest(addMs(this.#startedAt, this.#timing.handshakeTimeoutMs), this.transportTimeout());
      case "established":
        return earliest(
          earliest(this.#livenessTimeout(), this.#requestTimeout()),
          earliest(this.#keyTimeout(), this.transportTimeout()),
        );
      case "closing":
        return this.transportTimeout();
      case "closed":
        return undefined;
    }
  }

  /** Does what is due at `now`. */
  handleTimeout(now: Instant): void {
    if (this.#state === "handshaking" && now >= addMs(this.#startedAt, this.#timing.handshakeTimeoutMs)) {
      this.finish({ code: "handshake-timeout", awaiting: this.awaiting });
    }
    if (this.#state === "established" && !this.receivingPaused) {
      // Compared as pollTimeout() computes it: a difference can round to less than the timeout at that very moment.
      if (now >= addMs(this.lastReceivedAt, this.#timing.idleTimeoutMs)) {
        this.finish({ code: "peer-silent", silentMs: now - this.lastReceivedAt });
      }
    }
    if (this.#state === "established" && now >= this.#keepaliveAt()) this.#sendPing(now);
    this.advance(now);
  }

  /** Asks for a round trip: a `pong` event follows. Calls that come while one is asked for join it. */
  ping(now: Instant): void {
    this.requireEstablished();
    this.#pingWanted = true;
    this.advance(now);
  }

  /** Asks for a new epoch: a `rekeyed` event follows. It may wait: for a second between two, and for the peer to follow the last. */
  rekey(now: Instant): void {
    this.requireEstablished();
    this.#rekeyWanted = true;
    this.advance(now);
  }

  /**
   * With `acknowledge: "accepted"`: the first `count` messages of this connection are safe, and what waited for that goes out. Counts never go
   * back; after the end it does nothing, since nothing more can be acknowledged.
   */
  abstract acceptMessages(count: number, now: Instant): void;

  /** Ends at once for a reason of the server's, and says BYE once: whether it arrives is not waited for. Idempotent. */
  dismiss(reason: CloseReason, now: Instant): void {
    if (this.#state === "established") this.sendBye(now);
    this.finish(reason);
  }

  /** Ends at once and says nothing to the peer. Idempotent. */
  abort(reason: CloseReason = { code: "aborted" }): void {
    this.finish(reason);
  }

  /** What the transport's own machinery waits for. */
  protected abstract transportTimeout(): Instant | undefined;
  /** The frame that the handshake waits for. */
  protected abstract get awaiting(): HandshakeAwait;
  /** True while the application is behind and we do not read: silence is then ours, not the peer's. */
  protected abstract get receivingPaused(): boolean;
  /** True when a PING may be handed over now. */
  protected abstract get canPing(): boolean;
  /** True between whole messages, with nothing on its way that a change of keys could disturb. */
  protected abstract get canRekey(): boolean;
  /** False while the peer has not shown that it follows our last REKEY. */
  protected abstract get settled(): boolean;
  /** True when the peer is one of ours; undefined when it can be asked; false when it cannot. */
  protected abstract get peerIsOurs(): boolean | undefined;
  /** Finds out whether the peer is one of ours. */
  protected abstract askPeer(): void;
  /** True where a REKEY on a quiet line is safe with any peer: in order. */
  protected abstract get quietIsSafe(): boolean;
  /** Says BYE, because the keys have reached this limit and a REKEY would not be safe. */
  protected abstract expire(limit: KeyLimit, now: Instant): void;
  protected abstract sendControl(type: typeof FrameType.PING | typeof FrameType.PONG, now: Instant): void;
  protected abstract sendRekey(now: Instant): void;
  /** Puts a BYE out that is not sent again. */
  protected abstract sendBye(now: Instant): void;
  /** Forgets every key. */
  protected abstract wipe(): void;
  /** Messages whose fate closing decides. */
  protected undelivered(): Undelivered {
    return NOTHING_UNDELIVERED;
  }

  /** Has advance() send a PING, within their pace, as ping() does. */
  protected wantPing(): void {
    this.#pingWanted = true;
  }

  /** Begins what was asked for and may begin now. */
  protected advance(now: Instant): void {
    this.#timeoutMoved = true;
    if (this.#state !== "established") return;
    this.#renewKeys(now);
    if (this.#state !== "established") return;
    if (this.rekeyDue(now) && this.canRekey) {
      this.#rekeyWanted = false;
      this.#rekeyedAt = now;
      this.sendRekey(now);
    }
    // A PING makes a silent peer show that it follows our last REKEY, so that the next one may begin.
    if (this.#rekeyWanted && !this.settled && !this.control.pingUnderWay) this.#pingWanted = true;
    if (this.#pingDue(now) && this.canPing) this.#sendPing(now);
  }

  /** True when a REKEY was asked for and only waits for canRekey: nothing else should begin before it. */
  protected rekeyDue(now: Instant): boolean {
    return this.#rekeyWanted && this.settled && now >= this.#nextRekeyAt();
  }

  /** PING and PONG are all alike on every transport, once their limits are kept. */
  protected onPong(now: Instant): void {
    this.counters.pongsReceived++;
    const roundTripMs = this.control.takePong(now);
    if (roundTripMs !== undefined) this.emit({ type: "pong", roundTripMs });
  }

  /** We send under a new epoch from now on. */
  protected noteRekeyed(by: "us" | "peer", now: Instant): void {
    this.#epoch++;
    this.#keyLife?.renew(now);
    this.#expired = undefined;
    this.emit({ type: "rekeyed", by, epoch: this.#epoch });
  }

  protected emit(event: ConnectionEvent): void {
    if (this.#event === undefined) this.#event = event;
    else if (this.#laterEvents === undefined) this.#laterEvents = [event];
    else this.#laterEvents.push(event);
  }

  /** Has the driver ask pollTimeout() again. */
  protected noteTimeoutMoved(): void {
    this.#timeoutMoved = true;
  }

  protected enterSession(deviceId: Uint8Array, now: Instant): void {
    this.#timeoutMoved = true;
    const rekeying = rekeyingFor(this.#config, deviceId);
    this.#state = "established";
    this.#rekeyPolicy = rekeying.policy;
    this.#keyLife = new KeyLife(rekeying, now);
  }

  protected enterClosing(): void {
    this.#timeoutMoved = true;
    this.#state = "closing";
  }

  /** A frame of so many bytes was sealed or opened. */
  protected noteKeyUse(bytes: number): void {
    if (this.#keyLife?.note(bytes)) this.#timeoutMoved = true;
  }

  /** Ends the connection: wipes all keys, and emits `closed` as the last event. Idempotent. */
  protected finish(reason: CloseReason): void {
    if (this.#state === "closed") return;
    const undelivered = this.undelivered();
    this.#state = "closed";
    this.#timeoutMoved = true;
    this.wipe();
    this.emit({ type: "closed", reason, undelivered });
  }

  protected requireEstablished(): void {
    if (this.#state !== "established") {
      throw new UsageError("not-established", `the connection is ${this.#state}; it must be established for this`);
    }
  }

  #sendPing(now: Instant): void {
    this.#pingWanted = false;
    this.#pingedAt = now;
    this.counters.pingsSent++;
    this.control.notePing(now);
    this.sendControl(FrameType.PING, now);
  }

  #pingDue(now: Instant): boolean {
    return this.#pingWanted && this.control.mayPing(now);
  }

  /** Asks for new keys when these have served long enough, or ends the session where that would not be safe. */
  #renewKeys(now: Instant): void {
    const limit = this.#keyLife?.reached(now);
    if (limit === undefined || this.#rekeyWanted || !this.settled) return;
    this.#expired ??= { limit, at: now };
    if (this.#mayRekeyAt(now) <= now) this.#rekeyWanted = true;
    else if (now >= addMs(this.#expired.at, this.#patienceMs)) this.expire(limit, now);
    else if (this.peerIsOurs === undefined) this.askPeer();
  }

  /** When a REKEY is safe with this peer, as far as can be told now; never: infinity. */
  #mayRekeyAt(now: Instant): Instant {
    const policy = this.#rekeyPolicy;
    if (policy === "always" || (policy !== "never" && this.peerIsOurs === true)) return now;
    if (policy !== "quiet" || !this.quietIsSafe) return NEVER;
    return addMs(instant(Math.max(this.lastSentAt, this.lastReceivedAt)), QUIET_MS);
  }

  /** How long keys over a limit wait for a REKEY to be safe. */
  get #patienceMs(): number {
    const policy = this.#rekeyPolicy;
    if (policy === "quiet" && this.quietIsSafe) return MAX_WAIT_FOR_QUIET_MS;
    return policy === "never" || this.peerIsOurs === false ? 0 : MAX_WAIT_FOR_ANSWER_MS;
  }

  #keyTimeout(): Instant | undefined {
    if (this.#rekeyWanted || !this.settled) return undefined;
    if (this.#expired === undefined) return this.#keyLife?.timeout;
    return earliest(addMs(this.#expired.at, this.#patienceMs), this.#mayRekeyAt(this.#expired.at));
  }

  #nextRekeyAt(): Instant {
    return this.#rekeyedAt === undefined ? this.#startedAt : addMs(this.#rekeyedAt, MIN_REKEY_INTERVAL_MS);
  }

  #livenessTimeout(): Instant | undefined {
    const keepalive = this.#keepaliveAt();
    const idle = this.receivingPaused ? undefined : addMs(this.lastReceivedAt, this.#timing.idleTimeoutMs);
    return earliest(keepalive, idle);
  }

  /**
   * Sending does not put the PING off for ever: on a stream nothing but a PONG shows that a peer which only listens is still there, and
   * its own idle limit must not end a session that only the other side talks in.
   */
  #keepaliveAt(): Instant {
    const heardOrAsked = Math.max(this.lastReceivedAt, this.#pingedAt) as Instant;
    return addMs(Math.min(this.lastSentAt, heardOrAsked) as Instant, this.#timing.keepaliveMs);
  }

  /** When a wanted PING or REKEY that had to wait for its pace may begin. */
  #requestTimeout(): Instant | undefined {
    const rekey = this.#rekeyWanted && this.settled && this.canRekey ? this.#nextRekeyAt() : undefined;
    const ping = this.#pingWanted && !this.control.pingUnderWay && this.canPing ? this.control.nextPingAt : undefined;
    return earliest(rekey, ping);
  }
}
