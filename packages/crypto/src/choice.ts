import { loadNative } from "@usmp/native";
import { type CryptoProvider, UsageError } from "@usmp/protocol";
import { nobleCrypto } from "./noble.ts";
import { nodeCrypto } from "./node.ts";

/** The provider in use in this process, and why it is that one: for `usmp --version` and `usmp doctor`. */
export interface CryptoChoice {
  readonly crypto: CryptoProvider;
  /** For people, one phrase: "aws-lc-rs 1.19.0" or what keeps the native addon out. */
  readonly why: string;
}

/** The setting that forces one. */
const CRYPTO_VARIABLE = "USMP_CRYPTO";

/** The provider that connect() and listen() take when they are given none. Throws UsageError when USMP_CRYPTO asks for what is not there. */
export function defaultCrypto(): CryptoProvider {
  return cryptoChoice().crypto;
}

/** Chooses once in a process: the native addon where it is built, loads and computes right, else node:crypto. */
export function cryptoChoice(): CryptoChoice {
  // biome-ignore lint/style/noProcessEnv: the choice must reach every program that embeds this library, without a change to it.
  chosen ??= chooseCrypto(process.env[CRYPTO_VARIABLE]);
  return chosen;
}

let chosen: CryptoChoice | undefined;

/** What `forced`, the value of USMP_CRYPTO, chooses here; undefined or "" leaves the choice to us. */
export function chooseCrypto(forced: string | undefined, load: typeof loadNative = loadNative): CryptoChoice {
  if (forced === "node") return { crypto: nodeCrypto, why: `${CRYPTO_VARIABLE}=node` };
  if (forced === "noble") return { crypto: nobleCrypto, why: `${CRYPTO_VARIABLE}=noble` };
  if (forced !== undefined && forced !== "" && forced !== "native") {
    throw new UsageError(
      "invalid-option",
      `${CRYPTO_VARIABLE} is "${forced.slice(0, 32)}": give node, native or noble, or leave it unset`,
    );
  }
  const native = load();
  if ("crypto" in native) return { crypto: native.crypto, why: native.library };
  if (forced !== "native") return { crypto: nodeCrypto, why: native.reason };
  throw new UsageError(
    "invalid-option",
    `${CRYPTO_VARIABLE} is "native", but ${native.reason}; build it, or leave ${CRYPTO_VARIABLE} unset`,
  );
}
