import { createHash } from "node:crypto";
import { type CryptoProvider, constants, isSessionType, type RecordKey } from "@usmp/protocol";
import type { LinkEvent } from "./link-events.ts";
import { wrapRecordKeys } from "./traffic-key-observer.ts";

/** Thrown at the moment of the fault, out of seal() or send(). */
export class NonceLedgerError extends Error {
  override readonly name = "NonceLedgerError";
}

const { CRC_OFFSET, GCM_NONCE_LENGTH, HEADER_LENGTH } = constants;
const TYPE_OFFSET = 3;
const LENGTH_OFFSET = 8;
/** Any message will do: two key objects with the same MAC of it hold the same key. No UTACK has this length. */
const FINGERPRINT_MESSAGE: Uint8Array = new TextEncoder().encode("nonce ledger");

/**
 * The oracle of promise P5: no (key, nonce) pair twice, in any session, epoch or direction that it watches.
 *
 * It watches from two sides. Where frames are sealed, keys are told apart by their bytes, not by their objects: both directions
 * under one key, a key that is derived again, or an epoch whose key did not change are all seen. On the wire, every session
 * frame must be one that was sealed, byte for byte: a frame that is not, or that differs from the sealed one of the same nonce
 * and key, is refused, so nothing gets past the first side.
 */
export class NonceLedger {
  /** Sequence numbers used, by key fingerprint and fixed part of the nonce. */
  readonly #used = new Map<string, Set<number>>();
  /** Digests of sealed frames, for the wire's side. */
  readonly #sealed = new Set<string>();
  readonly #onWire = new Set<string>();
  readonly #keys = new Set<string>();
  #sealedFrames = 0;

  /** `provider`, watched. Give it to every endpoint of the simulation. */
  watch(provider: CryptoProvider): CryptoProvider {
    return wrapRecordKeys(provider, (key) => this.#watched(key));
  }

  /** For the tap of a datagram link, where each send is one frame. UTACKs and handshake frames carry no nonce and pass. */
  readonly observe = (event: LinkEvent): void => {
    if (event.type === "sent") this.#observeFrame(event.bytes);
  };

  /** For a stream link's tap: a send holds whole frames, one behind the other. */
  readonly observeStream = (event: LinkEvent): void => {
    if (event.type === "sent") for (const frame of framesOf(event.bytes)) this.#observeFrame(frame);
  };

  /** Frames sealed so far. A test asserts that there were some, or it would have proven nothing. */
  get sealedFrames(): number {
    return this.#sealedFrames;
  }

  /** Different sealed frames seen on the wire; a retransmission is the same frame. */
  get wireFrames(): number {
    return this.#onWire.size;
  }

  /** Different keys that sealed: two for each epoch of each session. */
  get keys(): number {
    return this.#keys.size;
  }

  #watched(key: RecordKey): RecordKey {
    let fingerprint: string | undefined;
    return {
      seal: (frame) => {
        fingerprint ??= hex(key.acknowledgementMac(FINGERPRINT_MESSAGE));
        this.#reserve(fingerprint, frame);
        key.seal(frame);
        this.#sealed.add(digestOf(frame));
      },
      open: (frame, out) => key.open(frame, out),
      acknowledgementMac: (message) => key.acknowledgementMac(message),
    };
  }

  #reserve(fingerprint: string, frame: Uint8Array): void {
    const nonce = frame.subarray(HEADER_LENGTH, HEADER_LENGTH + GCM_NONCE_LENGTH);
    const seq = new DataView(nonce.buffer, nonce.byteOffset).getUint32(0, true);
    const series = `${fingerprint} ${hex(nonce.subarray(4))}`;
    const used = this.#used.get(series) ?? new Set();
    if (used.has(seq))
      throw new NonceLedgerError(`key ${fingerprint}: nonce ${hex(nonce)} (seq ${seq}) is used a second time`);
    this.#used.set(series, used.add(seq));
    this.#keys.add(fingerprint);
    this.#sealedFrames++;
  }

  #observeFrame(frame: Uint8Array): void {
    if (!isSessionFrame(frame)) return;
    const digest = digestOf(frame);
    if (!this.#sealed.has(digest)) {
      throw new NonceLedgerError(`a session frame on the wire is none that was sealed: ${hex(frame.subarray(0, 24))}…`);
    }
    this.#onWire.add(digest);
  }
}

function isSessionFrame(bytes: Uint8Array): boolean {
  return (
    bytes.length >= HEADER_LENGTH &&
    bytes[0] === 0xcd &&
    bytes[1] === 0xab &&
    isSessionType(bytes[TYPE_OFFSET] as number)
  );
}

function* framesOf(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < bytes.length; ) {
    const header = bytes.subarray(offset, offset + HEADER_LENGTH);
    const length = HEADER_LENGTH + ((header[LENGTH_OFFSET] ?? 0) | ((header[LENGTH_OFFSET + 1] ?? 0) << 8));
    if (header.length < HEADER_LENGTH || offset + length > bytes.length) {
      throw new NonceLedgerError(`a send on a stream does not hold whole frames: ${hex(header)}…`);
    }
    yield bytes.subarray(offset, offset + length);
    offset += length;
  }
}

/** Of everything but the CRC, which the rest decides: a test that forges one repairs it first. */
function digestOf(frame: Uint8Array): string {
  const hash = createHash("sha256").update(frame.subarray(0, CRC_OFFSET)).update(frame.subarray(HEADER_LENGTH));
  return hash.digest("base64");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
