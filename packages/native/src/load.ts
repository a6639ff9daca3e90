import { createRequire } from "node:module";
import type { CryptoProvider } from "@usmp/protocol";
import { type Addon, INTERFACE_VERSION } from "./addon.ts";
import { NativeCrypto } from "./provider.ts";
import { failedSelfTest } from "./self-test.ts";
import { NativeSockets } from "./sockets.ts";

/** The addon is here and right. */
export interface LoadedNative {
  readonly crypto: CryptoProvider;
  /** What it is made of, for people: "aws-lc-rs 1.19.0". */
  readonly library: string;
  /** Undefined where the system lacks what it offers: Linux alone has it. */
  readonly sockets: NativeSockets | undefined;
}

/** Why there is no addon, for people: one phrase, with what to do where something can be done. */
export interface NotLoaded {
  readonly reason: string;
}

export type Loaded = LoadedNative | NotLoaded;

/** Looks for the addon once in a process: in this package's build, then in the platform's own package. Never throws. */
export function loadNative(): Loaded {
  loaded ??= load();
  return loaded;
}

let loaded: Loaded | undefined;

const require = createRequire(import.meta.url);

/** Where `npm run build:native` puts it: one level above both src and dist. */
const BUILT = "../build/usmp-native.node";

/** The package of a published build. A Linux says only by failing which C library it has. */
const PUBLISHED: readonly string[] =
  process.platform === "linux"
    ? ["gnu", "musl"].map((libc) => `@usmp/native-linux-${process.arch}-${libc}`)
    : [`@usmp/native-${process.platform}-${process.arch}`];

function load(): Loaded {
  let reason = "the native addon is not built: npm run build:native";
  for (const place of [BUILT, ...PUBLISHED]) {
    try {
      return examine(require(place) as Addon);
    } catch (error) {
      if (!isAbsent(error)) reason = `the native addon does not load: ${messageOf(error)}`;
    }
  }
  return { reason };
}

/** Takes what was loaded only when it is of this version and computes right. */
export function examine(addon: Addon): Loaded {
  if (typeof addon.interfaceVersion !== "function" || addon.interfaceVersion() !== INTERFACE_VERSION) {
    return { reason: "the native addon is of another version: npm run build:native" };
  }
  const crypto = new NativeCrypto(addon);
  const wrong = failedSelfTest(crypto);
  if (wrong !== undefined) return { reason: `the native addon failed its self-test: ${wrong}` };
  const sockets = process.platform === "linux" ? new NativeSockets(addon) : undefined;
  return { crypto, library: `aws-lc-rs ${addon.libraryVersion()}`, sockets };
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND";
}

/** One line: the system's loader may say more. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] as string;
}
