import { createHash, createHmac, randomFillSync } from "node:crypto";
import { canonicalHmacKey, Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import { DeviceKeys, deriveKey, type SealContext } from "../keys/device-keys.ts";
import { MasterSecret } from "../master/master-secret.ts";
import type { DeviceId, KeyOrigin } from "../records.ts";
import { MessageKeys } from "./message-keys.ts";
import type { Change, Database } from "./schema.ts";

/** What the database knows of a key that is good. */
export interface StoredKey {
  readonly generation: number;
  readonly origin: KeyOrigin;
  readonly masterId: string;
  readonly batch: string | undefined;
  readonly sealed: Uint8Array | undefined;
}

/** Where secrets of the whole registry are bound to, as SealContext: no device has this id. */
const REGISTRY = "registry";
const FINGERPRINT_KEY_LENGTH = 32;

/** Every secret that the running registry holds: the masters in use, the audit keys of all, the fingerprint key. */
export class Vault {
  #master: MasterSecret;
  readonly #keys: Map<string, DeviceKeys> = new Map();
  readonly #auditKeys: Map<string, Secret> = new Map();
  readonly messageKeys: MessageKeys = new MessageKeys();
  readonly #batchKeys: Map<string, Secret> = new Map();
  readonly #fingerprintKey: Secret;
  /** Opened in place of a sealed key where there is none, so that every candidate costs the same. */
  #dummySealed: Uint8Array;
  readonly #dummyKey: Secret = randomSecret(32);

  /** Takes the master over. `fingerprintKey` stays with the registry from one master to the next. */
  constructor(master: MasterSecret, fingerprintKey: Secret) {
    this.#master = master;
    this.#fingerprintKey = fingerprintKey;
    this.#dummySealed = this.#hold(master).seal(this.#dummyKey, DUMMY);
  }

  get master(): MasterSecret {
    return this.#master;
  }

  get current(): DeviceKeys {
    return this.keysOf(this.#master.id);
  }

  /** Throws GatewayError "damaged" for a master that is not held: the row names one that never was, or that has gone. */
  keysOf(masterId: string): DeviceKeys {
    const keys = this.#keys.get(masterId);
    if (keys === undefined)
      throw new GatewayError("damaged", `a row belongs to master ${masterId}, which is not in use`);
    return keys;
  }

  holds(masterId: string): boolean {
    return this.#keys.has(masterId);
  }

  auditKey(masterId: string): Secret | undefined {
    return this.#auditKeys.get(masterId);
  }

  /** The key of a generation; the caller's to wipe. */
  open(id: DeviceId, key: StoredKey): Secret {
    const keys = this.keysOf(key.masterId);
    if (key.origin === "derived") return keys.derive(id, key.generation);
    if (key.origin === "factory") return deriveKey(this.#batchKey(keys, key.batch ?? ""), id, key.generation);
    return keys.open(key.sealed ?? new Uint8Array(28), { id, generation: key.generation, purpose: "device-key" });
  }

  /** One derivation and one opening whatever `key` is, so that no time tells what is known of the device. A decoy proves nothing. */
  openEvenly(id: DeviceId, key: StoredKey | undefined): Secret {
    const sealed = key?.origin === "imported";
    const derived = key === undefined || sealed ? this.current.derive(id, 0) : this.open(id, key);
    const opened = sealed ? this.open(id, key) : this.current.open(this.#dummySealed, DUMMY);
    const [wanted, other] = sealed ? [opened, derived] : [derived, opened];
    other.wipe();
    if (key !== undefined) return wanted;
    // Generation 0 is never given to a device; a random key in its place makes even that no matter.
    wanted.wipe();
    return new Secret(this.#dummyKey.expose());
  }

  /** Names a key, in the form that HMAC sees, to the holder of the fingerprint key alone. 32 bytes. */
  fingerprint(key: Secret): Uint8Array {
    const form = canonicalHmacKey(key.expose(), (data) => createHash("sha256").update(data).digest());
    const print = createHmac("sha256", this.#fingerprintKey.expose()).update(form).digest();
    form.fill(0);
    return print;
  }

  sealFingerprintKey(under: DeviceKeys): Uint8Array {
    return under.seal(this.#fingerprintKey, FINGERPRINT);
  }

  /** A former master's secret and audit key, sealed under another. */
  sealMaster(master: MasterSecret, under: DeviceKeys): { readonly secret: Uint8Array; readonly audit: Uint8Array } {
    const secret = master.copy();
    const audit = master.subkey("audit");
    try {
      return { secret: under.seal(secret, OLD_MASTER), audit: under.seal(audit, AUDIT) };
    } finally {
      secret.wipe();
      audit.wipe();
    }
  }

  /** Writes the keys of stored messages, all masters' up to now, sealed under the next one. */
  async storeMessageKeys(change: Change, under: DeviceKeys): Promise<void> {
    for (const [id, key] of this.messageKeys.all()) {
      const value = Buffer.from(under.seal(key, messageKey(id))).toString("base64");
      await change
        .insertInto("meta")
        .values({ key: `${MESSAGE_KEY}${id}`, value })
        .onConflict((conflict) => conflict.column("key").doUpdateSet({ value }))
        .execute();
    }
  }

  resealAudit(masterId: string, under: DeviceKeys): Uint8Array {
    return under.seal(this.#auditKeys.get(masterId) as Secret, AUDIT);
  }

  /** From now on `next` is the master; the present one stays readable until dropMaster(). Takes `next` over. */
  moveTo(next: MasterSecret): void {
    this.#master.wipe();
    this.#master = next;
    this.#dummySealed = this.#hold(next).seal(this.#dummyKey, DUMMY);
  }

  /** No key depends on this former master any more. Its audit rows stay verifiable. */
  dropMaster(masterId: string): void {
    this.#keys.get(masterId)?.wipe();
    this.#keys.delete(masterId);
    for (const [name, key] of this.#batchKeys) {
      if (!name.startsWith(`${masterId}/`)) continue;
      key.wipe();
      this.#batchKeys.delete(name);
    }
  }

  /** Takes in what the database has of former masters. */
  async loadFormer(db: Database): Promise<void> {
    for (const { key, value } of await db
      .selectFrom("meta")
      .selectAll()
      .where("key", "like", `${MESSAGE_KEY}%`)
      .execute()) {
      const id = key.slice(MESSAGE_KEY.length);
      this.messageKeys.add(id, this.current.open(new Uint8Array(Buffer.from(value, "base64")), messageKey(id)));
    }
    for (const row of await db.selectFrom("masters").selectAll().where("state", "!=", "current").execute()) {
      if (row.sealed_audit !== null)
        this.#auditKeys.set(row.id, this.current.open(new Uint8Array(row.sealed_audit), AUDIT));
      if (row.sealed_secret === null || this.#keys.has(row.id)) continue;
      const former = new MasterSecret(this.current.open(new Uint8Array(row.sealed_secret), OLD_MASTER));
      this.#keys.set(row.id, new DeviceKeys(former));
      former.wipe();
    }
  }

  wipe(): void {
    this.#master.wipe();
    this.#fingerprintKey.wipe();
    this.#dummyKey.wipe();
    this.messageKeys.wipe();
    for (const keys of this.#keys.values()) keys.wipe();
    for (const key of [...this.#auditKeys.values(), ...this.#batchKeys.values()]) key.wipe();
  }

  #hold(master: MasterSecret): DeviceKeys {
    const keys = new DeviceKeys(master);
    this.#keys.set(master.id, keys);
    this.#auditKeys.set(master.id, master.subkey("audit"));
    this.messageKeys.moveTo(master);
    return keys;
  }

  /** Kept, so that a factory key costs one derivation as others do. */
  #batchKey(keys: DeviceKeys, batch: string): Secret {
    const name = `${keys.masterId}/${batch}`;
    const known = this.#batchKeys.get(name);
    if (known !== undefined) return known;
    const key = keys.batchKey(batch);
    this.#batchKeys.set(name, key);
    return key;
  }
}

export function newFingerprintKey(): Secret {
  return randomSecret(FINGERPRINT_KEY_LENGTH);
}

export function openFingerprintKey(sealed: Uint8Array, keys: DeviceKeys): Secret {
  return keys.open(sealed, FINGERPRINT);
}

function randomSecret(length: number): Secret {
  const bytes = new Uint8Array(new ArrayBuffer(length));
  randomFillSync(bytes);
  return Secret.adopt(bytes);
}

const MESSAGE_KEY = "message_key:";

function messageKey(masterId: string): SealContext {
  return { id: masterId, generation: 0, purpose: "message-key" };
}

const DUMMY = { id: REGISTRY, generation: 0, purpose: "device-key" } as const;
const FINGERPRINT = { id: REGISTRY, generation: 0, purpose: "fingerprint-key" } as const;
const OLD_MASTER = { id: REGISTRY, generation: 0, purpose: "old-master" } as const;
const AUDIT = { id: REGISTRY, generation: 0, purpose: "audit-key" } as const;
