import type { Secret } from "@usmp/protocol";
import type { MasterSecret } from "../master/master-secret.ts";
import type { DeviceId } from "../records.ts";

/** What a sealed key is bound to: its AAD. A row moved to another device, generation or purpose does not open. */
export interface SealContext {
  readonly id: DeviceId;
  readonly generation: number;
  readonly purpose: "device-key" | "old-master" | "audit-key" | "fingerprint-key" | "payload";
}

/**
 * Keys of devices, from one master. Derived keys are 32 bytes without a zero byte (C strings would be cut there); formulas and
 * vectors are in docs/keys.md. All results are the caller's to wipe.
 */
export interface DeviceKeys {
  readonly master: Pick<MasterSecret, "id">;
  /** The key of a device's generation. */
  derive(id: DeviceId, generation: number): Secret;
  /** What `usmp factory-key BATCH` prints: good for devices of that batch only. */
  batchKey(batch: string): Secret;
  /** The key that a factory with that batch's key gives a device. */
  deriveFactory(batch: string, id: DeviceId, generation: number): Secret;
  /** AES-256-GCM with a random nonce under the seal subkey: nonce (12) || ciphertext || tag (16). */
  seal(secret: Secret, context: SealContext): Uint8Array;
  /** Throws GatewayError "damaged" when the row is not what was sealed here for this context. */
  open(sealed: Uint8Array, context: SealContext): Secret;
}
