import type { Violation } from "@usmp/protocol";
import type { KeyForm } from "../keys/forms.ts";
import type { WallMs } from "../records.ts";

/** Why an attempt was refused: what the wire cannot tell apart, told apart. Closed; `cause` is stable, docs/cli.md lists it. */
export type RefusalCause =
  | { readonly cause: "unknown-device" /** Enrolled once, deleted since. */; readonly deletedAt: WallMs | undefined }
  /** `tried` false: so many wrong keys came at once that this one was not looked into. */
  | { readonly cause: "wrong-key"; readonly form: KeyForm | undefined; readonly tried: boolean }
  | { readonly cause: "development-key" }
  | { readonly cause: "published-key"; readonly name: string }
  | { readonly cause: "key-of-another-device" } // a device's snippet was copied with its key: never says whose
  | { readonly cause: "old-generation"; readonly holds: number; readonly current: number }
  /** `held`: whether the proof was made with a key of this device; undefined: not looked into. */
  | { readonly cause: "revoked"; readonly since: WallMs; readonly held: boolean | undefined }
  | { readonly cause: "suspended"; readonly since: WallMs; readonly held: boolean | undefined }
  | { readonly cause: "own-device-id" }
  | { readonly cause: "version"; readonly saw: number }
  | {
      readonly cause: "malformed-frame";
      readonly violation: Violation;
      readonly offset: number;
      readonly during: "handshake" | "session";
    }
  | { readonly cause: "not-usmp"; readonly looksLike: "TLS" | "HTTP" | "MQTT" | "SSH" | undefined }
  | { readonly cause: "over-budget"; readonly limit: string }
  | { readonly cause: "timeout"; readonly awaiting: string }
  | { readonly cause: "connection-lost"; readonly awaiting: string | undefined; readonly message: string | undefined }
  | { readonly cause: "server-full" }
  | { readonly cause: "registry-stale"; readonly ageMs: number }
  | { readonly cause: "internal"; readonly message: string };

export type CauseName = RefusalCause["cause"];

/** Each of them, for what is counted by cause. */
const NAMES: { readonly [Name in CauseName]: true } = {
  "unknown-device": true,
  "wrong-key": true,
  "development-key": true,
  "published-key": true,
  "key-of-another-device": true,
  "old-generation": true,
  revoked: true,
  suspended: true,
  "own-device-id": true,
  version: true,
  "malformed-frame": true,
  "not-usmp": true,
  "over-budget": true,
  timeout: true,
  "connection-lost": true,
  "server-full": true,
  "registry-stale": true,
  internal: true,
};
export const CAUSE_NAMES: readonly CauseName[] = Object.keys(NAMES) as CauseName[];

/** What `why` prints for a cause. The first line names the cause; `fix` is a command that works when run, where there is one. */
export interface Explanation {
  readonly says: string;
  readonly evidence: readonly string[];
  readonly fix: readonly string[];
}
