import { loadNative } from "@usmp/native";
import type { CryptoProvider } from "@usmp/protocol";
import { nobleCrypto, nodeCrypto } from "../src/index.ts";
import { noblePrimitives } from "../src/noble-primitives.ts";
import { nodePrimitives } from "../src/node-primitives.ts";
import type { Primitives } from "../src/primitives.ts";

interface Tested {
  readonly name: string;
  readonly crypto: CryptoProvider;
}

/** Those made of primitives of this package, which can be tested one by one. The native one has none outside of Rust. */
export const primitiveProviders: readonly (Tested & { readonly primitives: Primitives })[] = [
  { name: "node", crypto: nodeCrypto, primitives: nodePrimitives },
  { name: "noble", crypto: nobleCrypto, primitives: noblePrimitives },
];

/** Every test of a provider runs on all. */
export const providers: readonly Tested[] = [...primitiveProviders, ...native()];

function native(): Tested[] {
  const loaded = loadNative();
  if ("crypto" in loaded) return [{ name: "native", crypto: loaded.crypto }];
  if (process.env["CI"] === "true") throw new Error(`CI must test the native provider: ${loaded.reason}`);
  console.warn(`skipped on the native provider: ${loaded.reason}`);
  return [];
}
