import { CHALLENGE_NONCE_LENGTH, PROOF_LENGTH, SESSION_ID_LENGTH } from "../constants.ts";
import { constantTimeEqual } from "../crypto/equal.ts";
import { sessionKeyInfo } from "../crypto/key-schedule.ts";
import type { CryptoProvider, KeyPair } from "../crypto/provider.ts";
import { Secret } from "../crypto/secret.ts";
import { concatBytes } from "../wire/bytes.ts";
import type { Hello } from "../wire/message.ts";
import type { Established } from "./client.ts";
import { ProofTrial } from "./proof-trial.ts";
import { clientProof, serverProof, type Transcript } from "./transcript.ts";

/** Keys tried for one HELLO_ACK. Fewer candidates are filled up with decoys to MIN, so that an unknown id costs the same. */
const MAX_CANDIDATE_KEYS = 4;
const MIN_CANDIDATE_KEYS = 2;

/** A proof that was good: the session, and the SESSION_OK payload that tells the client. */
export interface Accepted extends Established {
  readonly sessionOk: Uint8Array;
  /** Index of the candidate that proved. */
  readonly keyIndex: number;
}

/**
 * The server's half of one handshake, message by message.
 *
 * Until the client's proof is good it costs one key pair and a bounded number of HMACs: the X25519 exchange comes after
 * (spec section 3).
 */
export class ServerHandshake {
  readonly deviceId: Uint8Array;
  readonly clientPublicKey: Uint8Array;
  readonly #crypto: CryptoProvider;
  readonly #keyPair: KeyPair;
  readonly #transcript: Transcript;

  constructor(crypto: CryptoProvider, { deviceId, publicKey }: Hello) {
    this.deviceId = deviceId;
    this.clientPublicKey = publicKey;
    this.#crypto = crypto;
    this.#keyPair = crypto.generateKeyPair();
    const nonce = new Uint8Array(CHALLENGE_NONCE_LENGTH);
    crypto.randomFill(nonce);
    this.#transcript = {
      deviceId,
      nonce,
      clientPublicKey: publicKey,
      serverPublicKey: this.#keyPair.publicKey,
    };
  }

  /** Payload of CHALLENGE; the same one for the life of the handshake. */
  challenge(): Uint8Array {
    return concatBytes(this.#transcript.nonce, this.#transcript.serverPublicKey);
  }

  /**
   * Checks the client's proof against the candidate keys (none for an unknown device) and, when one is good, draws a session id
   * (undefined: there is no room for a session) and derives the keys. The keys stay the caller's. Work and time do not depend on which candidate was good, nor on whether
   * there were none, one or two.
   */
  accept(
    proof: Uint8Array,
    candidates: readonly Secret[],
    newSessionId: () => Uint8Array | undefined,
  ): Accepted | "bad-proof" | "weak-key-share" | "server-full" {
    const keyIndex = this.#matchingKey(proof, candidates);
    const psk = candidates[keyIndex];
    if (psk === undefined) return "bad-proof";
    const sessionId = newSessionId();
    if (sessionId === undefined) return "server-full";
    const { nonce, clientPublicKey, serverPublicKey } = this.#transcript;
    const keys = this.#crypto.deriveTrafficKeys({
      side: "server",
      keyPair: this.#keyPair,
      peerPublicKey: clientPublicKey,
      salt: nonce,
      info: sessionKeyInfo(clientPublicKey, serverPublicKey),
      sessionId,
    });
    this.wipe();
    if (keys === undefined) return "weak-key-share";
    return {
      sessionId,
      keys,
      keyIndex,
      sessionOk: concatBytes(sessionId, serverProof(this.#crypto, psk, this.#transcript, sessionId)),
    };
  }

  /** The refused proof, taken over, for diagnosis. */
  trial(proof: Uint8Array): ProofTrial {
    return new ProofTrial(this.#crypto, proof, this.#transcript);
  }

  /** Forgets the ephemeral private key. Idempotent. */
  wipe(): void {
    this.#keyPair.wipe();
  }

  /** Index of the first candidate that the proof was made with, or -1. */
  #matchingKey(proof: Uint8Array, candidates: readonly Secret[]): number {
    let matching = -1;
    const tried = Math.max(MIN_CANDIDATE_KEYS, Math.min(MAX_CANDIDATE_KEYS, candidates.length));
    for (let i = tried - 1; i >= 0; i--) {
      if (constantTimeEqual(proof, clientProof(this.#crypto, candidates[i] ?? DECOY_KEY, this.#transcript)))
        matching = i;
    }
    return matching;
  }
}

/** Draws a session id from the provider's CSPRNG. */
export function randomSessionId(crypto: CryptoProvider): Uint8Array {
  const sessionId = new Uint8Array(SESSION_ID_LENGTH);
  crypto.randomFill(sessionId);
  return sessionId;
}

/** Proves nothing: what it matches is thrown away. Its length is that of a usual key, so its HMAC costs the same. */
const DECOY_KEY = new Secret(new Uint8Array(PROOF_LENGTH));
