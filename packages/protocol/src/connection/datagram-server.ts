import type { Secret } from "../crypto/secret.ts";
import type { ProofTrial } from "../handshake/proof-trial.ts";
import { sessionRoute } from "../record/protection.ts";
import { ProofBudget } from "../recovery/proof-budget.ts";
import { Retransmission } from "../recovery/retransmission.ts";
import { addMs, earliest, type Instant } from "../time.ts";
import { copyBytes } from "../wire/bytes.ts";
import { type Frame, FrameType, payloadOf } from "../wire/frame.ts";
import { type Hello, parseHelloAck } from "../wire/message.ts";
import type { Utack } from "../wire/utack.ts";
import { Admission } from "./admission.ts";
import type { ServerConfig } from "./config.ts";
import { DatagramConnection, type DatagramOptions } from "./datagram.ts";
import type { Address, AuthenticationFailure, CloseReason, HandshakeAwait } from "./events.ts";
import { Path } from "./path.ts";

/**
 * Between sends of a handshake flight, at most. The whole handshake has ten seconds; on a line that loses 30 % each way one exchange in
 * two fails, and 20 datagrams to an address that has shown a cookie are little (threats page, case 20).
 */
const MAX_RESEND_MS = 500;
/** After SESSION_OK was acknowledged a client may still wait for the UTACK of its HELLO_ACK: it is sent so many times more. */
const MAX_LAST_SENDS = 4;

/** An address that was silent so long is not where a peer resends a frame that we declined: three times the longest pause between two. */
const ABANDONED_AFTER_MS = 15_000;

/** What a server's endpoint does for its connections. */
export interface DatagramHost {
  /** Draws a session id whose route no other session has; undefined when no session of this device fits any more. */
  newSessionId(deviceId: Uint8Array): Uint8Array | undefined;
  /** True when a wrong proof may be looked at, beyond those that each handshake has of its own. */
  takeWrongProof(now: Instant): boolean;
  /** The connection is reachable under its session id from now on. */
  onEstablished(connection: DatagramServer, route: number): void;
  /** The session's peer is at another address now. */
  onMoved(connection: DatagramServer, from: Address): void;
  /** The connection ended; the route is undefined when it never was a session. */
  onClosed(connection: DatagramServer, route: number | undefined, farewell: Farewell | undefined): void;
}

/** What answers a peer's BYE, should it come again after the end: made while the keys existed. */
export interface Farewell {
  readonly bye: Uint8Array;
  readonly utacks: readonly Uint8Array[];
}

/** The server's side of a connection over datagrams, from the HELLO whose cookie verified. CHALLENGE is ready to be polled. */
export class DatagramServer extends DatagramConnection {
  readonly clientPublicKey: Uint8Array;
  readonly #path: Path;
  readonly #host: DatagramHost;
  readonly #admission: Admission;
  readonly #proofs: ProofBudget = new ProofBudget();
  readonly #confirmMs: number;
  readonly #challenge: Uint8Array;
  /** What the UTACK of the last HELLO_ACK acknowledges; sent once the proof is known to be good. */
  #helloAck: Pick<Frame, "type" | "seq"> = { type: FrameType.HELLO_ACK, seq: 2 };
  /** The client's frame that our flight answers: its UTACK goes with each send, as the client may have missed it. */
  #answered: Pick<Frame, "type" | "seq">;
  /** What is left of the flight is that UTACK. */
  #flightAcknowledged = false;
  #lastSends = 0;
  #sessionOk: Uint8Array | undefined;
  #retransmission: Retransmission | undefined;
  #route: number | undefined;
  #refusal: AuthenticationFailure | undefined;
  #farewell: Farewell | undefined;
  /** When SESSION_OK must be acknowledged, counted from its first send: the client may have needed all of its own deadline. */
  #confirmBy: Instant | undefined;
  #confirmed = false;
  #proven = false;
  /** When the peer's present address last showed something authentic. */
  #heardHereAt: Instant;

  constructor(config: ServerConfig, options: DatagramOptions, host: DatagramHost, hello: Hello, now: Instant) {
    super("server", config, options, now);
    this.#path = new Path(options.peer);
    this.#host = host;
    this.#answered = { type: FrameType.HELLO, seq: 1 };
    this.#heardHereAt = now;
    this.clientPublicKey = hello.publicKey;
    this.#confirmMs = config.timing.handshakeTimeoutMs;
    this.#admission = new Admission(config.crypto, hello, config.isOwnDevice(hello.deviceId));
    this.emit({ type: "keys-needed", deviceId: hello.deviceId });
    this.#challenge = this.sendPlain(FrameType.CHALLENGE, 0, this.#admission.handshake.challenge(), now);
    this.#retransmission = new Retransmission(now, this.rtt);
  }

  get address(): Address {
    return this.#path.address;
  }

  /** Answers `keys-needed`: at most four candidate keys, none for an unknown device. They stay the caller's, until `established` or `closed`. */
  provideKeys(candidates: readonly Secret[], now: Instant): void {
    if (this.state !== "handshaking") return;
    this.#admission.provideKeys(candidates);
    this.#decide(now);
  }

  /** The HELLO of this very handshake came (again): the client may have missed its UTACK, or CHALLENGE. */
  handleHello(frame: Frame, from: Address, now: Instant): void {
    this.acknowledgePlain(frame, from);
    if (this.state !== "handshaking") return;
    this.#answered = { type: frame.type, seq: frame.seq };
    if (this.#flightAcknowledged) this.resendPlain(this.#challenge, now);
  }

  /** True when this HELLO_ACK carries the proof that was already taken. */
  knowsProof(helloAck: Frame): boolean {
    return this.#admission.sameProof(payloadOf(helloAck));
  }

  override takeProofTrial(): ProofTrial | undefined {
    return this.#admission.takeTrial();
  }

  protected override get awaiting(): HandshakeAwait {
    return this.#admission.awaitsKeys ? "keys" : "HELLO_ACK";
  }

  protected override handleHandshakeFrame(frame: Frame, from: Address, now: Instant): void {
    if (frame.type !== FrameType.HELLO_ACK) return this.drop("unexpected-type");
    const proof = parseHelloAck(payloadOf(frame));
    if (proof === undefined) return this.drop("bad-length");
    if (this.#admission.sameProof(proof)) return this.#onKnownProof(frame, from, now);
    if (this.state !== "handshaking" || this.#admission.hasProof) return this.drop("unexpected-type");
    // A stranger who guesses the peer's port must not use up the true peer's tries: what the server can afford is looked at.
    if (!this.#proofs.allows(now) && !this.#host.takeWrongProof(now)) return this.drop("proof-budget");
    this.#admission.giveProof(proof);
    this.#helloAck = { type: frame.type, seq: frame.seq };
    this.#decide(now);
  }

  /** Plaintext UTACKs can be forged; believing one costs nothing that the client's next HELLO or HELLO_ACK does not bring back. */
  protected override handleHandshakeUtack(utack: Utack, now: Instant): boolean {
    const awaited = this.state === "handshaking" ? FrameType.CHALLENGE : FrameType.SESSION_OK;
    if (utack.type !== awaited || this.#retransmission === undefined || this.#flightAcknowledged) return false;
    if (utack.type === FrameType.SESSION_OK) this.#confirmed = true;
    this.#flightAcknowledged = true;
    this.advance(now);
    return true;
  }

  protected override handleHandshakeTimeout(now: Instant): void {
    if (this.#confirmBy !== undefined && !this.#confirmed && now >= this.#confirmBy) {
      return this.finish({ code: "handshake-timeout", awaiting: "SESSION_OK" });
    }
    if (!this.#retransmission?.isDue(now)) return;
    this.#retransmission.noteResend(now, this.rtt, MAX_RESEND_MS);
    this.acknowledgePlain(this.#answered, this.address);
    if (!this.#flightAcknowledged) this.resendPlain(this.#sessionOk ?? this.#challenge, now);
    else if (this.#sessionOk !== undefined && ++this.#lastSends === MAX_LAST_SENDS) this.#retransmission = undefined;
  }

  protected override handshakeTimeout(): Instant | undefined {
    return this.#retransmission?.resendAt;
  }

  protected override get confirmed(): boolean {
    return this.#confirmed;
  }

  protected override onAuthentic(from: Address, bytes: number, now: Instant): void {
    if (from.key === this.address.key) {
      this.#heardHereAt = now;
      this.#path.noteReceived(bytes);
    }
    if (this.#proven) return;
    this.#proven = true;
    this.#confirm();
    this.emit({ type: "proven" });
  }

  protected override onAcknowledged(seq: number): boolean {
    const before = this.#path.prove(seq);
    if (before === undefined) return false;
    this.emit({ type: "path-proven", from: before, address: this.address });
    return true;
  }

  protected override get pathProven(): boolean {
    return this.#path.isProven;
  }

  protected override mayTransmit(bytes: number): boolean {
    return this.#path.spend(bytes);
  }

  protected override onNewest(from: Address, probeSeq: number, now: Instant): void {
    const before = this.address;
    this.#path.move(from, probeSeq, now);
    this.#noteMoved(before);
  }

  /** Whoever overhears such a frame could bring us copies of it; but a peer that is where we think resends it from there. */
  protected override onNewestDeclined(from: Address, probeSeq: number, now: Instant): void {
    if (now >= addMs(this.#heardHereAt, ABANDONED_AFTER_MS)) this.onNewest(from, probeSeq, now);
  }

  override handleTimeout(now: Instant): void {
    const before = this.address;
    if (this.#path.returnWhenDue(now)) this.#noteMoved(before);
    super.handleTimeout(now);
  }

  protected override transportTimeout(): Instant | undefined {
    return earliest(super.transportTimeout(), this.#path.timeout);
  }

  protected override onBye(frame: Uint8Array, utacks: readonly Uint8Array[]): void {
    this.#farewell = { bye: copyBytes(frame), utacks };
  }

  /** A handshake that ran out after a wrong proof failed for that reason. */
  protected override finish(reason: CloseReason): void {
    if (this.isClosed()) return;
    const unproven = reason.code === "handshake-timeout" && this.#sessionOk === undefined;
    const refused = unproven && this.#refusal !== undefined;
    super.finish(refused ? { code: "authentication-failed", cause: this.#refusal as AuthenticationFailure } : reason);
    this.#host.onClosed(this, this.#route, this.#farewell);
  }

  protected override wipe(): void {
    this.#admission.wipe();
    this.#retransmission = undefined;
    super.wipe();
  }

  #noteMoved(from: Address): void {
    this.#host.onMoved(this, from);
    this.emit({ type: "moved", from, to: this.address, proven: this.#path.isProven });
  }

  #confirm(): void {
    this.#confirmed = true;
    this.#retransmission = undefined;
  }

  /** The proof that was good, again: the client may have missed its UTACK, or SESSION_OK. */
  #onKnownProof(frame: Frame, from: Address, now: Instant): void {
    if (this.#sessionOk === undefined) return;
    this.acknowledgePlain(frame, from);
    if (!this.#proven) this.resendPlain(this.#sessionOk, now);
  }

  #decide(now: Instant): void {
    const verdict = this.#admission.decide(() => this.#host.newSessionId(this.#admission.handshake.deviceId));
    if (verdict === "waiting") return;
    if (verdict === "server-full") return this.finish({ code: verdict });
    if (verdict === "weak-key-share") {
      return this.finish({ code: "protocol-violation", violation: verdict, during: "handshake" });
    }
    if ("refused" in verdict) {
      this.#proofs.noteWrong(now);
      this.drop("bad-proof");
      if (this.#refusal === undefined) this.emit({ type: "proof-refused", cause: verdict.refused });
      this.#refusal = verdict.refused;
      return;
    }
    this.#admission.forgetKeys();
    this.#confirmBy = addMs(now, this.#confirmMs);
    const { deviceId } = this.#admission.handshake;
    this.establish({ ...verdict, deviceId }, now);
    this.#route = sessionRoute(verdict.sessionId);
    this.#host.onEstablished(this, this.#route);
    this.acknowledgePlain(this.#helloAck, this.address);
    this.#answered = this.#helloAck;
    this.#flightAcknowledged = false;
    this.#sessionOk = this.sendPlain(FrameType.SESSION_OK, 0, verdict.sessionOk, now);
    this.#retransmission = new Retransmission(now, this.rtt);
    this.emit({ type: "established", deviceId, sessionId: verdict.sessionId, keyIndex: verdict.keyIndex });
  }
}
