import { COOKIE_HELLO_LENGTH } from "../constants.ts";
import type { Secret } from "../crypto/secret.ts";
import type { ProofTrial } from "../handshake/proof-trial.ts";
import { randomSessionId } from "../handshake/server.ts";
import type { Instant } from "../time.ts";
import { type Frame, FrameType, payloadOf } from "../wire/frame.ts";
import { parseHello, parseHelloAck } from "../wire/message.ts";
import { Admission } from "./admission.ts";
import type { ServerConfig } from "./config.ts";
import type { HandshakeAwait } from "./events.ts";
import { StreamConnection, type StreamOptions } from "./stream.ts";

/** What a server's acceptor does for its connections. */
export interface StreamHost {
  /** HELLO came, and nothing was spent on it yet: false ends the connection. */
  admit(deviceId: Uint8Array, now: Instant): boolean;
}

/** The server's side of a connection over an in-order transport. */
export class StreamServer extends StreamConnection {
  readonly #config: ServerConfig;
  /** Until HELLO. */
  #host: StreamHost | undefined;
  #admission: Admission | undefined;
  #proven = false;

  /** Without a host every HELLO is taken. */
  constructor(config: ServerConfig, options: StreamOptions, now: Instant, host?: StreamHost) {
    super("server", config, options, now);
    this.#config = config;
    this.#host = host;
  }

  /** Answers `keys-needed`: at most four candidate keys, none for an unknown device. They stay the caller's, until `established` or `closed`. */
  provideKeys(candidates: readonly Secret[], now: Instant): void {
    if (this.state !== "handshaking") return;
    this.#admission?.provideKeys(candidates);
    this.#decide(now);
  }

  override takeProofTrial(): ProofTrial | undefined {
    return this.#admission?.takeTrial();
  }

  protected override get awaiting(): HandshakeAwait {
    if (this.#admission === undefined) return "HELLO";
    return this.#admission.awaitsKeys ? "keys" : "HELLO_ACK";
  }

  protected override handleHandshakeFrame(frame: Frame, now: Instant): void {
    if (frame.type === FrameType.HELLO && this.#admission === undefined) this.#onHello(frame, now);
    else if (frame.type === FrameType.HELLO_ACK && this.#admission?.hasProof === false) {
      this.#onHelloAck(frame, this.#admission, now);
    } else this.violate("unexpected-type");
  }

  protected override onProven(): void {
    if (this.#proven) return;
    this.#proven = true;
    this.emit({ type: "proven" });
  }

  protected override wipe(): void {
    this.#admission?.wipe();
    super.wipe();
  }

  #onHello(frame: Frame, now: Instant): void {
    const payload = payloadOf(frame);
    const hello = parseHello(payload);
    if (hello === undefined || payload.length === COOKIE_HELLO_LENGTH) return this.violate("bad-length");
    const admitted = this.#host?.admit(hello.deviceId, now) ?? true;
    this.#host = undefined;
    if (!admitted) return this.finish({ code: "rate-limited" });
    this.#admission = new Admission(this.crypto, hello, this.#config.isOwnDevice(hello.deviceId));
    this.sendPlain(FrameType.CHALLENGE, 0, this.#admission.handshake.challenge(), now);
    this.emit({ type: "keys-needed", deviceId: hello.deviceId });
  }

  #onHelloAck(frame: Frame, admission: Admission, now: Instant): void {
    const proof = parseHelloAck(payloadOf(frame));
    if (proof === undefined) return this.violate("bad-length");
    admission.giveProof(proof);
    this.#decide(now);
  }

  #decide(now: Instant): void {
    const verdict = this.#admission?.decide(() => this.#newSessionId());
    if (verdict === undefined || verdict === "waiting") return;
    if (verdict === "server-full") return this.finish({ code: verdict });
    if (verdict === "weak-key-share") return this.violate("weak-key-share");
    if ("refused" in verdict) return this.finish({ code: "authentication-failed", cause: verdict.refused });
    const { deviceId } = (this.#admission as Admission).handshake;
    this.#admission = undefined;
    this.sendPlain(FrameType.SESSION_OK, 0, verdict.sessionOk, now);
    this.establish({ ...verdict, deviceId }, now);
    this.emit({ type: "established", deviceId, sessionId: verdict.sessionId, keyIndex: verdict.keyIndex });
  }

  #newSessionId(): Uint8Array | undefined {
    const { deviceId } = (this.#admission as Admission).handshake;
    return (this.#config.hasRoom?.(deviceId) ?? true) ? randomSessionId(this.crypto) : undefined;
  }
}
