import type { CryptoProvider } from "@usmp/protocol";
import { nodePrimitives } from "./node-primitives.ts";
import { createProvider } from "./provider.ts";

/** The provider for Node: node:crypto, nothing else. */
export const nodeCrypto: CryptoProvider = createProvider(nodePrimitives);
