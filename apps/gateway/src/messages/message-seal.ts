import { createCipheriv, createDecipheriv, randomFillSync } from "node:crypto";
import { GatewayError } from "../errors.ts";
import type { DeviceId } from "../records.ts";
import type { MessageKeys } from "../registry/message-keys.ts";

const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

/** A payload as it is stored. */
export interface StoredPayload {
  /** Which key it is sealed under: a master's id; null: it is not sealed. */
  readonly sealed_by: string | null;
  readonly data: Uint8Array;
}

/**
 * Payloads at rest: AES-256-GCM with a random nonce under the master's subkey "messages", as nonce (12) || ciphertext || tag (16). The AAD is
 * "usmp message 1" 00 direction 00 device 00 id: a row that was moved to another message, device or direction does not open.
 */
export class MessageSeal {
  readonly #keys: MessageKeys;
  readonly #direction: "in" | "out";
  readonly #sealed: boolean;

  /** `sealed` says how new ones are kept; what was kept otherwise can be read all the same. */
  constructor(keys: MessageKeys, direction: "in" | "out", sealed: boolean) {
    this.#keys = keys;
    this.#direction = direction;
    this.#sealed = sealed;
  }

  seal(id: number, device: DeviceId, data: Uint8Array): StoredPayload {
    if (!this.#sealed) return { sealed_by: null, data };
    const { id: keyId, key } = this.#keys.current;
    const sealed = Buffer.allocUnsafeSlow(NONCE_LENGTH + data.length + TAG_LENGTH);
    randomFillSync(sealed, 0, NONCE_LENGTH);
    const cipher = createCipheriv("aes-256-gcm", key.expose(), sealed.subarray(0, NONCE_LENGTH));
    cipher.setAAD(this.#aad(id, device));
    cipher.update(data).copy(sealed, NONCE_LENGTH);
    cipher.final();
    cipher.getAuthTag().copy(sealed, NONCE_LENGTH + data.length);
    return { sealed_by: keyId, data: sealed };
  }

  /** Throws GatewayError "damaged" for what is sealed under a key that is not here, or was changed. */
  open(row: StoredPayload & { readonly id: number; readonly device: DeviceId }): Uint8Array {
    const { id, device, sealed_by: keyId, data } = row;
    if (keyId === null) return data;
    const key = this.#keys.get(keyId);
    if (key === undefined) {
      throw new GatewayError(
        "damaged",
        `message ${id} of ${device} is sealed under master ${keyId}, which this gateway does not have: its database of messages came from another`,
      );
    }
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    try {
      const decipher = createDecipheriv("aes-256-gcm", key.expose(), bytes.subarray(0, NONCE_LENGTH))
        .setAAD(this.#aad(id, device))
        .setAuthTag(bytes.subarray(-TAG_LENGTH));
      const opened = decipher.update(bytes.subarray(NONCE_LENGTH, -TAG_LENGTH));
      decipher.final();
      return opened;
    } catch (error) {
      const problem = `message ${id} of ${device} does not open: its row was changed or moved`;
      throw new GatewayError("damaged", problem, { cause: error });
    }
  }

  #aad(id: number, device: DeviceId): Buffer {
    return Buffer.from(`usmp message 1\0${this.#direction}\0${device}\0${id}`);
  }
}
