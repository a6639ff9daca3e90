import type { CryptoProvider } from "../crypto/provider.ts";
import { UsageError } from "../errors.ts";
import type { ProofTrial } from "../handshake/proof-trial.ts";
import { addMs, earliest, type Instant } from "../time.ts";
import { FrameType } from "../wire/frame.ts";
import type { ConnectionConfig, Timing } from "./config.ts";
import { ControlTraffic } from "./control-traffic.ts";
import { Counters } from "./counters.ts";
import type { Breach, CloseReason, ConnectionEvent, HandshakeAwait, Undelivered } from "./events.ts";

export type ConnectionState = "handshaking" | "established" | "closing" | "closed";

/** Our own REKEYs are at least this far apart (spec section 4). */
const MIN_REKEY_INTERVAL_MS = 1_000;
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
  readonly #startedAt: Instant;
  /** Absent while none waits: an idle connection holds nothing for them. */
  #events: ConnectionEvent[] | undefined;
  #state: ConnectionState = "handshaking";
  #pingWanted = false;
  #rekeyWanted = false;
  #rekeyedAt: Instant | undefined;
  #epoch = 0;

  protected constructor(config: ConnectionConfig, now: Instant) {
    this.crypto = config.crypto;
    this.#timing = config.timing;
    this.#startedAt = now;
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
    const event = this.#events?.shift();
    if (this.#events?.length === 0) this.#events = undefined;
    return event;
  }

  /** When handleTimeout() is due; undefined when nothing ever will be. */
  pollTimeout(): Instant | undefined {
    switch (this.#state) {
      case "handshaking":
        return earliest(addMs(this.#startedAt, this.#timing.handshakeTimeoutMs), this.transportTimeout());
      case "established":
        return earliest(earliest(this.#livenessTimeout(), this.#requestTimeout()), this.transportTimeout());
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

  /** Begins what was asked for and may begin now. */
  protected advance(now: Instant): void {
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
    const roundTripMs = this.control.takePong(now);
    if (roundTripMs !== undefined) this.emit({ type: "pong", roundTripMs });
  }

  /** We send under a new epoch from now on. */
  protected noteRekeyed(by: "us" | "peer"): void {
    this.#epoch++;
    this.emit({ type: "rekeyed", by, epoch: this.#epoch });
  }

  protected emit(event: ConnectionEvent): void {
    if (this.#events === undefined) this.#events = [event];
    else this.#events.push(event);
  }

  protected enter(state: "established" | "closing"): void {
    this.#state = state;
  }

  /** Ends the connection: wipes all keys, and emits `closed` as the last event. Idempotent. */
  protected finish(reason: CloseReason): void {
    if (this.#state === "closed") return;
    const undelivered = this.undelivered();
    this.#state = "closed";
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
    this.control.notePing(now);
    this.sendControl(FrameType.PING, now);
  }

  #pingDue(now: Instant): boolean {
    return this.#pingWanted && !this.control.pingUnderWay && now >= (this.control.nextPingAt ?? now);
  }

  #nextRekeyAt(): Instant {
    return this.#rekeyedAt === undefined ? this.#startedAt : addMs(this.#rekeyedAt, MIN_REKEY_INTERVAL_MS);
  }

  #livenessTimeout(): Instant | undefined {
    const keepalive = this.#keepaliveAt();
    const idle = this.receivingPaused ? undefined : addMs(this.lastReceivedAt, this.#timing.idleTimeoutMs);
    return earliest(keepalive, idle);
  }

  #keepaliveAt(): Instant {
    return addMs(this.lastSentAt, this.#timing.keepaliveMs);
  }

  /** When a wanted PING or REKEY that had to wait for its pace may begin. */
  #requestTimeout(): Instant | undefined {
    const rekey = this.#rekeyWanted && this.settled && this.canRekey ? this.#nextRekeyAt() : undefined;
    const ping = this.#pingWanted && !this.control.pingUnderWay && this.canPing ? this.control.nextPingAt : undefined;
    return earliest(rekey, ping);
  }
}
