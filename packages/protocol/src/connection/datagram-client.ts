import { constantTimeEqual } from "../crypto/equal.ts";
import { ClientHandshake } from "../handshake/client.ts";
import { ProofBudget } from "../recovery/proof-budget.ts";
import { Retransmission } from "../recovery/retransmission.ts";
import type { Instant } from "../time.ts";
import { type Frame, FrameType, payloadOf } from "../wire/frame.ts";
import { parseChallenge, parseHelloRetry, parseSessionOk } from "../wire/message.ts";
import type { ClientConfig } from "./config.ts";
import { DatagramConnection, type DatagramOptions } from "./datagram.ts";
import type { Address, HandshakeAwait } from "./events.ts";

/** Between sends of a handshake flight, at most: the whole handshake has ten seconds. */
const MAX_RESEND_MS = 2_000;
/** Cookies that a client tries: an injected HELLO_RETRY must not win either. */
const MAX_COOKIES = 8;

/**
 * The client's side of a connection over datagrams. HELLO is ready to be polled from the start.
 *
 * UTACKs of handshake frames are forgeable and only advice: HELLO is sent again until HELLO_RETRY or CHALLENGE comes, HELLO_ACK until
 * SESSION_OK does (threats page, section 2.2). Nothing that a stranger injects ends the handshake.
 */
export class DatagramClient extends DatagramConnection {
  readonly address: Address;
  readonly #handshake: ClientHandshake;
  readonly #hello: Uint8Array;
  readonly #proofs: ProofBudget = new ProofBudget();
  #cookies: Uint8Array[] = [];
  #cookieHello: Uint8Array | undefined;
  /** One HELLO_ACK for each CHALLENGE that was answered. */
  #acks: Uint8Array[] = [];
  #retransmission: Retransmission | undefined;
  #awaiting: HandshakeAwait = "HELLO_RETRY";

  constructor(config: ClientConfig, options: DatagramOptions, now: Instant) {
    super("client", config, options, now);
    this.address = options.peer;
    this.#handshake = new ClientHandshake(config.crypto, config.psk, config.deviceId);
    this.#hello = this.sendPlain(FrameType.HELLO, 0, this.#handshake.hello(), now);
    this.#retransmission = new Retransmission(now, this.rtt);
  }

  protected override get awaiting(): HandshakeAwait {
    return this.#awaiting;
  }

  protected override handleHandshakeFrame(frame: Frame, from: Address, now: Instant): void {
    if (frame.type === FrameType.HELLO_RETRY) this.#onHelloRetry(frame, from, now);
    else if (frame.type === FrameType.CHALLENGE) this.#onChallenge(frame, from, now);
    else if (frame.type === FrameType.SESSION_OK) this.#onSessionOk(frame, from, now);
    else this.drop("unexpected-type");
  }

  protected override handleHandshakeUtack(): boolean {
    return this.state === "handshaking";
  }

  protected override handleHandshakeTimeout(now: Instant): void {
    const retransmission = this.#retransmission;
    if (retransmission === undefined || !retransmission.isDue(now)) return;
    retransmission.noteResend(now, this.rtt, MAX_RESEND_MS);
    for (const ack of this.#acks) this.resendPlain(ack, now);
    // The bare HELLO fetches a new cookie where ours was forged or its secret is gone; the other also recalls a lost CHALLENGE.
    const bareHello = this.#cookieHello === undefined || retransmission.sends % 3 === 0;
    if (this.#acks.length === 0 || retransmission.sends % 2 === 0) {
      this.resendPlain(bareHello ? this.#hello : (this.#cookieHello as Uint8Array), now);
    }
  }

  protected override handshakeTimeout(): Instant | undefined {
    return this.#retransmission?.resendAt;
  }

  protected override get confirmed(): boolean {
    return true;
  }

  /** A client's peer proved itself with SESSION_OK. */
  protected override onAuthentic(): void {}

  protected override onAcknowledged(): false {
    return false;
  }

  protected override get pathProven(): true {
    return true;
  }

  protected override mayTransmit(): true {
    return true;
  }

  /** A client stays with the address that it connected to; its driver takes datagrams from nowhere else. */
  protected override onNewest(): void {}
  protected override onNewestDeclined(): void {}

  /** A client's socket is gone with the session. */
  protected override onBye(): void {}

  protected override wipe(): void {
    this.#handshake.wipe();
    this.#retransmission = undefined;
    super.wipe();
  }

  #onHelloRetry(frame: Frame, from: Address, now: Instant): void {
    const cookie = parseHelloRetry(payloadOf(frame));
    if (cookie === undefined) return this.drop("bad-length");
    this.acknowledgePlain(frame, from);
    const known = this.#cookies.some((other) => constantTimeEqual(other, cookie));
    if (known || this.state !== "handshaking" || this.#cookies.length === MAX_COOKIES) return;
    this.#cookies.push(cookie);
    if (this.#acks.length === 0) this.#awaiting = "CHALLENGE";
    this.#cookieHello = this.sendPlain(FrameType.HELLO, 1, this.#handshake.hello(cookie), now);
    this.#retransmission = new Retransmission(now, this.rtt);
  }

  #onChallenge(frame: Frame, from: Address, now: Instant): void {
    const challenge = parseChallenge(payloadOf(frame));
    if (challenge === undefined) return this.drop("bad-length");
    this.acknowledgePlain(frame, from);
    if (this.state !== "handshaking") return;
    const proof = this.#handshake.answer(challenge);
    if (proof === undefined) return this.drop("too-many-challenges");
    this.#awaiting = "SESSION_OK";
    const ack = this.sendPlain(FrameType.HELLO_ACK, 2, proof, now);
    if (!this.#acks.some((other) => constantTimeEqual(other, ack))) this.#acks.push(ack);
    this.#retransmission = new Retransmission(now, this.rtt);
  }

  #onSessionOk(frame: Frame, from: Address, now: Instant): void {
    const sessionOk = parseSessionOk(payloadOf(frame));
    if (sessionOk === undefined) return this.drop("bad-length");
    if (this.state !== "handshaking") return this.acknowledgePlain(frame, from);
    if (this.#acks.length === 0) return this.drop("unexpected-type");
    if (!this.#proofs.allows(now)) return this.drop("proof-budget");
    const outcome = this.#handshake.finish(sessionOk);
    if (outcome === "bad-proof") {
      this.#proofs.noteWrong(now);
      return this.drop("bad-proof");
    }
    if (outcome === "weak-key-share") {
      return this.finish({ code: "protocol-violation", violation: outcome, during: "handshake" });
    }
    this.acknowledgePlain(frame, from);
    this.#retransmission = undefined;
    this.#acks = [];
    this.#cookies = [];
    const { deviceId } = this.#handshake;
    this.establish({ ...outcome, deviceId }, now);
    this.emit({ type: "established", deviceId, sessionId: outcome.sessionId, keyIndex: 0 });
  }
}
