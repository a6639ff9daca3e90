import type { Secret } from "./secret.ts";

/**
 * What the core asks of a cryptographic library. Everything is synchronous: node:crypto, noble and a native addon all
 * are, and an asynchronous primitive would colour every method of the core.
 *
 * The unit for traffic is the record key (one per direction and epoch), not single primitives, so that a native
 * provider can keep expanded keys to itself and do a whole frame in one call.
 */
export interface CryptoProvider {
  /** Short name for diagnostics: "node", "noble", "native". */
  readonly name: string;

  /** Fills `out` from the system's CSPRNG. */
  randomFill(out: Uint8Array): void;

  /** A new X25519 key pair (RFC 7748) from the system's CSPRNG. */
  generateKeyPair(): KeyPair;

  /** The key pair of a given 32-byte private key: for vectors, simulation and inspection, never for live sessions. */
  importKeyPair(privateKey: Secret): KeyPair;

  /** HMAC-SHA256 (RFC 2104) over the concatenation of `parts`; 32 bytes. */
  hmacSha256(key: Secret, parts: readonly Uint8Array[]): Uint8Array;

  /**
   * X25519 with `peerPublicKey` (32 bytes, accepted as sent, RFC 7748 section 5), then the session's two keys: HKDF-SHA256
   * (RFC 5869) with `salt` and `info` to 64 bytes, client-to-server key first. Spec section 3.
   * Answers undefined when the shared secret is all zero (a low-order peer key, RFC 7748 section 6.1).
   * `keyPair` stays alive; its owner wipes it.
   */
  deriveTrafficKeys(request: TrafficKeyRequest): TrafficKeys | undefined;

  /** The keys of a session from the 64 derived bytes (client-to-server first): for vectors and inspection. */
  importTrafficKeys(side: Side, clientToServer: Secret, serverToClient: Secret, sessionId: Uint8Array): TrafficKeys;
}

export type Side = "client" | "server";

/** An ephemeral X25519 key pair. The private half never leaves the provider that made it. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** Forgets the private key. Idempotent. */
  wipe(): void;
}

export interface TrafficKeyRequest {
  readonly side: Side;
  readonly keyPair: KeyPair;
  readonly peerPublicKey: Uint8Array;
  readonly salt: Uint8Array;
  readonly info: Uint8Array;
  /** 16 bytes; the first 8 are the fixed part of every GCM nonce. */
  readonly sessionId: Uint8Array;
}

/** Both directions of one epoch, as this side sees them. */
export interface TrafficKeys {
  readonly transmit: RecordKey;
  readonly receive: RecordKey;
  /**
   * The keys of the epoch that a REKEY with `salt` begins: HKDF-SHA256(ikm = initiator's tx key || initiator's rx key, salt,
   * info, 64), initiator's tx key first. Spec section 5. The present keys stay usable.
   */
  next(initiator: "us" | "peer", salt: Uint8Array, info: Uint8Array): TrafficKeys;
  /** Forgets both keys and whatever next() would need. Idempotent; every use after it throws UsageError. */
  wipe(): void;
}

/** One direction's AES-256-GCM key (FIPS 197, SP 800-38D). Spec section 4: nonce = seq || session_id[0..7]. */
export interface RecordKey {
  /**
   * Seals in place. `frame` is the whole frame, its first 10 header bytes final (they are the AAD; seq and length are read
   * from them by nobody: the nonce is written by the caller at 12..24). The plaintext stands at 24; the provider replaces it
   * with ciphertext, writes the tag into the last 16 bytes, and last the CRC field: then the frame may leave.
   */
  seal(frame: Uint8Array): void;

  /**
   * Seals the frames that stand behind each other in bytes[start..end), each prepared as for seal(); their length fields say where one
   * ends. Nothing is sealed when they do not end at `end` (RangeError). Optional: for providers that gain by a single call.
   */
  sealRun?(bytes: Uint8Array, start: number, end: number): void;

  /**
   * Opens `frame` (whole, as received) into `out`, whose length must be frame.length - 40. Answers false, with `out` zeroed or
   * untouched and `frame` unchanged, when the tag does not verify.
   */
  open(frame: Uint8Array, out: Uint8Array): boolean;

  /**
   * Opens the run of good data frames that begins at bytes[start], their plaintexts back to back into `out`, and answers how many. It goes
   * on while the next frame ends before `end`, and is flawless: magic, version, length, CRC, a type of DATA or DATA_FRAG, the next
   * number (`seq` first, never the last of all) in header and nonce, the session's part of the nonce, room in `out`, the tag. `bytes`
   * stays as it is.
   *
   * It never says why it stopped: whatever did is handled frame by frame, by the checks that there are anyway. So this is a short cut
   * and cannot change what is accepted. Optional: for providers that gain by a single call.
   */
  openRun?(bytes: Uint8Array, start: number, end: number, seq: number, out: Uint8Array): number;

  /** First 8 bytes of HMAC-SHA256(this key, message): the MAC of a UTACK (spec section 6). */
  acknowledgementMac(message: Uint8Array): Uint8Array;
}
