import { ClientHandshake } from "../handshake/client.ts";
import type { Instant } from "../time.ts";
import { type Frame, FrameType, payloadOf } from "../wire/frame.ts";
import { parseChallenge, parseSessionOk } from "../wire/message.ts";
import type { ClientConfig } from "./config.ts";
import type { HandshakeAwait } from "./events.ts";
import { StreamConnection, type StreamOptions } from "./stream.ts";

/** The client's side of a connection over an in-order transport. HELLO is ready to be polled from the start. */
export class StreamClient extends StreamConnection {
  readonly #handshake: ClientHandshake;
  #awaiting: "CHALLENGE" | "SESSION_OK" = "CHALLENGE";

  constructor(config: ClientConfig, options: StreamOptions, now: Instant) {
    super("client", config, options, now);
    this.#handshake = new ClientHandshake(config.crypto, config.psk, config.deviceId);
    this.sendPlain(FrameType.HELLO, 0, this.#handshake.hello(), now);
  }

  protected override get awaiting(): HandshakeAwait {
    return this.#awaiting;
  }

  protected override handleHandshakeFrame(frame: Frame, now: Instant): void {
    if (frame.type !== FrameType[this.#awaiting]) this.violate("unexpected-type");
    else if (frame.type === FrameType.CHALLENGE) this.#onChallenge(frame, now);
    else this.#onSessionOk(frame);
  }

  /** A client's peer proved itself with SESSION_OK. */
  protected override onProven(): void {}

  protected override wipe(): void {
    this.#handshake.wipe();
    super.wipe();
  }

  #onChallenge(frame: Frame, now: Instant): void {
    const challenge = parseChallenge(payloadOf(frame));
    if (challenge === undefined) return this.violate("bad-length");
    // The one CHALLENGE of a stream is always answered: the limit is for datagrams, where strangers can add some.
    const proof = this.#handshake.answer(challenge) as Uint8Array;
    this.#awaiting = "SESSION_OK";
    this.sendPlain(FrameType.HELLO_ACK, 2, proof, now);
  }

  #onSessionOk(frame: Frame): void {
    const sessionOk = parseSessionOk(payloadOf(frame));
    if (sessionOk === undefined) return this.violate("bad-length");
    const outcome = this.#handshake.finish(sessionOk);
    if (outcome === "bad-proof") return this.finish({ code: "authentication-failed", cause: "peer-proof" });
    if (outcome === "weak-key-share") return this.violate("weak-key-share");
    this.establish(outcome.sessionId, outcome.keys);
    this.emit({
      type: "established",
      deviceId: this.#handshake.deviceId,
      sessionId: outcome.sessionId,
      keyIndex: 0,
    });
  }
}
