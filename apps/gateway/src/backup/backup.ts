import type { Secret } from "@usmp/protocol";
import type { DeviceId } from "../records.ts";

/** Who can open a backup. */
export type BackupSeal =
  /** Argon2id, then AES-256-GCM in chunks. */
  | { readonly kind: "passphrase"; readonly passphrase: Secret }
  /** An age recipient, "age1…": Debian's `age -d` opens it. */
  | { readonly kind: "age-recipient"; readonly recipient: string };

export type BackupOpener =
  | { readonly kind: "passphrase"; readonly passphrase: Secret }
  /** An age identity file's content, "AGE-SECRET-KEY-1…". */
  | { readonly kind: "age-identity"; readonly identity: Secret };

/** What a restore would change; shown before it asks. A generation that is higher here wins; what is dead here stays dead. */
export interface RestorePlan {
  readonly madeAt: string;
  readonly devices: number;
  readonly changes: readonly RestoreChange[];
}

export type RestoreChange = {
  readonly id: DeviceId;
  readonly change: "restored" | "kept-newer" | "kept-revoked" | "kept-deleted" | "only-here";
  readonly says: string;
};
