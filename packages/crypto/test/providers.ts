import type { CryptoProvider } from "@usmp/protocol";
import { nobleCrypto, nodeCrypto } from "../src/index.ts";
import { noblePrimitives } from "../src/noble-primitives.ts";
import { nodePrimitives } from "../src/node-primitives.ts";
import type { Primitives } from "../src/primitives.ts";

/** Every test of a provider runs on both. */
export const providers: readonly { name: string; crypto: CryptoProvider; primitives: Primitives }[] = [
  { name: "node", crypto: nodeCrypto, primitives: nodePrimitives },
  { name: "noble", crypto: nobleCrypto, primitives: noblePrimitives },
];
