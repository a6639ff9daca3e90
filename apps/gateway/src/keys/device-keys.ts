import { createCipheriv, createDecipheriv, createHash, randomFillSync } from "node:crypto";
import { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import { hkdf, type MasterSecret } from "../master/master-secret.ts";
import type { DeviceId } from "../records.ts";

/** What a sealed key is bound to: its AAD. A row moved to another device, generation or purpose does not open. */
export interface SealContext {
  readonly id: DeviceId;
  readonly generation: number;
  readonly purpose: "device-key" | "old-master" | "audit-key" | "fingerprint-key" | "message-key";
}

const KEY_LENGTH = 32;
/** Derived before zero bytes are left out: 16 of 48 bytes would have to be zero for 32 not to remain, once in 2^94. */
const EXPANDED_LENGTH = 48;
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

/**
 * Keys of devices, from one master. Derived keys are 32 bytes without a zero byte (C strings would be cut there); formulas and
 * vectors are in docs/keys.md. All results are the caller's to wipe.
 */
export class DeviceKeys {
  readonly masterId: string;
  readonly #derive: Secret;
  readonly #seal: Secret;

  /** Takes the subkeys it needs; the master stays its owner's. */
  constructor(master: MasterSecret) {
    this.masterId = master.id;
    this.#derive = master.subkey("derive");
    this.#seal = master.subkey("seal");
  }

  /** The key of a device's generation. */
  derive(id: DeviceId, generation: number): Secret {
    return deriveKey(this.#derive, id, generation);
  }

  /** What `usmp factory-key BATCH` prints: good for devices of that batch only. */
  batchKey(batch: string): Secret {
    return expandWithoutZeros(this.#derive, `usmp factory key 1\0${batch}`);
  }

  /** The key that a factory with that batch's key gives a device. */
  deriveFactory(batch: string, id: DeviceId, generation: number): Secret {
    const batchKey = this.batchKey(batch);
    try {
      return deriveKey(batchKey, id, generation);
    } finally {
      batchKey.wipe();
    }
  }

  /** AES-256-GCM with a random nonce under the seal subkey: nonce (12) || ciphertext || tag (16). */
  seal(secret: Secret, context: SealContext): Uint8Array {
    const sealed = Buffer.alloc(NONCE_LENGTH + secret.length + TAG_LENGTH);
    randomFillSync(sealed, 0, NONCE_LENGTH);
    const cipher = createCipheriv("aes-256-gcm", this.#seal.expose(), sealed.subarray(0, NONCE_LENGTH)).setAAD(
      aad(context),
    );
    cipher.update(secret.expose()).copy(sealed, NONCE_LENGTH);
    cipher.final();
    cipher.getAuthTag().copy(sealed, NONCE_LENGTH + secret.length);
    return sealed;
  }

  /** Throws GatewayError "damaged" when the row is not what was sealed here for this context. */
  open(sealed: Uint8Array, context: SealContext): Secret {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
    try {
      const decipher = createDecipheriv("aes-256-gcm", this.#seal.expose(), bytes.subarray(0, NONCE_LENGTH))
        .setAAD(aad(context))
        .setAuthTag(bytes.subarray(-TAG_LENGTH));
      const opened = decipher.update(bytes.subarray(NONCE_LENGTH, -TAG_LENGTH));
      try {
        decipher.final();
        return new Secret(opened);
      } finally {
        opened.fill(0);
      }
    } catch (error) {
      const { id, generation, purpose } = context;
      throw new GatewayError(
        "damaged",
        `the sealed ${purpose} of ${id}, generation ${generation}, does not open: the row was changed or moved, or belongs to another master`,
        { cause: error },
      );
    }
  }

  wipe(): void {
    this.#derive.wipe();
    this.#seal.wipe();
  }
}

/** HKDF-SHA256(key, info = "usmp device key 1" || 00 || id (6) || generation (4, big-endian)) to 48 bytes, of those the first 32 that are not zero. */
export function deriveKey(key: Secret, id: DeviceId, generation: number): Secret {
  const info = Buffer.alloc(DEVICE_INFO.length + 10);
  DEVICE_INFO.copy(info);
  info.write(id.replaceAll(":", ""), DEVICE_INFO.length, "hex");
  info.writeUInt32BE(generation, DEVICE_INFO.length + 6);
  return expandWithoutZeros(key, info);
}

const DEVICE_INFO = Buffer.from("usmp device key 1\0");

/** One expansion whatever comes out, so that the time does not depend on the device. */
function expandWithoutZeros(key: Secret, info: string | Uint8Array): Secret {
  const expanded = hkdf(key, info, EXPANDED_LENGTH);
  const bytes = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  let filled = 0;
  for (const byte of expanded.expose()) if (byte !== 0 && filled < KEY_LENGTH) bytes[filled++] = byte;
  expanded.wipe();
  if (filled < KEY_LENGTH) throw new Error("HKDF gave 17 zero bytes of 48"); // once in 2^94
  return Secret.adopt(bytes);
}

/** Fixed widths and a separator: no two contexts have the same bytes. */
function aad({ id, generation, purpose }: SealContext): Buffer {
  return createHash("sha256").update(`usmp sealed 1\0${purpose}\0${id}\0${generation}`).digest();
}
