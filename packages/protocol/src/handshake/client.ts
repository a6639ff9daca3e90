import { constantTimeEqual } from "../crypto/equal.ts";
import { sessionKeyInfo } from "../crypto/key-schedule.ts";
import type { CryptoProvider, KeyPair, TrafficKeys } from "../crypto/provider.ts";
import type { Secret } from "../crypto/secret.ts";
import { concatBytes } from "../wire/bytes.ts";
import type { Challenge, SessionOk } from "../wire/message.ts";
import { clientProof, serverProof, type Transcript } from "./transcript.ts";

/** How many distinct CHALLENGEs a client on datagrams answers: an injected one must not win (threats page, F17). */
export const MAX_CHALLENGES = 4;

/** What a finished handshake leaves behind: everything else of it is gone. */
export interface Established {
  readonly sessionId: Uint8Array;
  readonly keys: TrafficKeys;
}

/**
 * The client's half of one handshake, message by message: it knows no frames, no transport and no time.
 *
 * The X25519 exchange waits until the server's proof was good, so a forged SESSION_OK costs one HMAC.
 */
export class ClientHandshake {
  readonly deviceId: Uint8Array;
  readonly #crypto: CryptoProvider;
  readonly #psk: Secret;
  readonly #keyPair: KeyPair;
  readonly #transcripts: Transcript[] = [];

  /** `psk` stays the caller's; `deviceId` is 6 bytes. */
  constructor(crypto: CryptoProvider, psk: Secret, deviceId: Uint8Array) {
    this.#crypto = crypto;
    this.#psk = psk;
    this.deviceId = deviceId;
    this.#keyPair = crypto.generateKeyPair();
  }

  /** Payload of HELLO, with the cookie that a HELLO_RETRY asked to be returned. */
  hello(cookie: Uint8Array = NO_COOKIE): Uint8Array {
    return concatBytes(this.deviceId, this.#keyPair.publicKey, cookie);
  }

  /** Payload of the HELLO_ACK that answers this CHALLENGE; undefined once too many different ones came. */
  answer(challenge: Challenge): Uint8Array | undefined {
    let transcript = this.#transcripts.find(
      (known) =>
        constantTimeEqual(known.nonce, challenge.nonce) &&
        constantTimeEqual(known.serverPublicKey, challenge.publicKey),
    );
    if (transcript === undefined) {
      if (this.#transcripts.length === MAX_CHALLENGES) return undefined;
      transcript = {
        deviceId: this.deviceId,
        nonce: challenge.nonce,
        clientPublicKey: this.#keyPair.publicKey,
        serverPublicKey: challenge.publicKey,
      };
      this.#transcripts.push(transcript);
    }
    return clientProof(this.#crypto, this.#psk, transcript);
  }

  /**
   * Checks the server's proof against every CHALLENGE that was answered and derives the session's keys.
   * "bad-proof" leaves the handshake as it was; "weak-key-share" (an all-zero shared secret) must end it.
   */
  finish({ sessionId, proof }: SessionOk): Established | "bad-proof" | "weak-key-share" {
    const transcript = this.#transcripts.find((known) =>
      constantTimeEqual(proof, serverProof(this.#crypto, this.#psk, known, sessionId)),
    );
    if (transcript === undefined) return "bad-proof";
    const keys = this.#crypto.deriveTrafficKeys({
      side: "client",
      keyPair: this.#keyPair,
      peerPublicKey: transcript.serverPublicKey,
      salt: transcript.nonce,
      info: sessionKeyInfo(transcript.clientPublicKey, transcript.serverPublicKey),
      sessionId,
    });
    this.wipe();
    return keys === undefined ? "weak-key-share" : { sessionId, keys };
  }

  /** Forgets the ephemeral private key. Idempotent. */
  wipe(): void {
    this.#keyPair.wipe();
  }
}

const NO_COOKIE = new Uint8Array(0);
