import type { CryptoProvider, RecordKey, Side, TrafficKeys } from "../../src/crypto/provider.ts";
import { toHex } from "../support/hex.ts";
import { seqOf } from "../support/raw-peer.ts";

/**
 * Gives every epoch of one end the number that it has in the models: 0 is the handshake's, and a REKEY under epoch e makes 2e + 1 when the
 * client sent it, 2e + 2 when the server did. Remembers which are not wiped and what each has sealed and acknowledged.
 */
export class EpochNames {
  readonly provider: CryptoProvider;
  readonly #side: Side;
  readonly #alive: number[] = [];
  readonly #sealed: Map<string, number> = new Map();
  readonly #macs: Map<string, number> = new Map();

  constructor(provider: CryptoProvider, side: Side) {
    this.#side = side;
    this.provider = {
      name: `${provider.name}, epochs named`,
      randomFill: (out) => provider.randomFill(out),
      generateKeyPair: () => provider.generateKeyPair(),
      importKeyPair: (privateKey) => provider.importKeyPair(privateKey),
      hmacSha256: (key, parts) => provider.hmacSha256(key, parts),
      deriveTrafficKeys: (request) => {
        const keys = provider.deriveTrafficKeys(request);
        return keys === undefined ? undefined : this.#named(keys, 0);
      },
      importTrafficKeys: (...parameters) => provider.importTrafficKeys(...parameters),
    };
  }

  /** The epochs whose keys are not wiped, in numerical order. */
  get alive(): readonly number[] {
    return [...this.#alive].sort((a, b) => a - b);
  }

  /** The epoch that a frame of this end was sealed under. */
  sealedUnder(frame: Uint8Array): number | undefined {
    return this.#sealed.get(nameOf(frame));
  }

  /** The epoch whose key a UTACK of this end carries. */
  acknowledgedUnder(mac: Uint8Array): number | undefined {
    return this.#macs.get(toHex(mac));
  }

  #named(keys: TrafficKeys, epoch: number): TrafficKeys {
    this.#alive.push(epoch);
    const transmit: RecordKey = {
      seal: (frame) => {
        this.#sealed.set(nameOf(frame), epoch);
        keys.transmit.seal(frame);
      },
      open: (frame, out) => keys.transmit.open(frame, out),
      acknowledgementMac: (message) => keys.transmit.acknowledgementMac(message),
    };
    const receive: RecordKey = {
      seal: (frame) => keys.receive.seal(frame),
      open: (frame, out) => keys.receive.open(frame, out),
      acknowledgementMac: (message) => {
        const mac = keys.receive.acknowledgementMac(message);
        this.#macs.set(toHex(mac), epoch);
        return mac;
      },
    };
    const other: Side = this.#side === "client" ? "server" : "client";
    return {
      transmit,
      receive,
      next: (initiator, salt, info) => {
        const by = initiator === "us" ? this.#side : other;
        return this.#named(keys.next(initiator, salt, info), 2 * epoch + (by === "client" ? 1 : 2));
      },
      wipe: () => {
        const index = this.#alive.indexOf(epoch);
        if (index >= 0) this.#alive.splice(index, 1);
        keys.wipe();
      },
    };
  }
}

/** An end never uses a number twice under datagrams; over streams, never twice in one epoch, and the latest is what counts. */
function nameOf(frame: Uint8Array): string {
  return `${frame[3]}/${seqOf(frame)}`;
}
