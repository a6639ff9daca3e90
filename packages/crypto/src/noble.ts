import type { CryptoProvider } from "@usmp/protocol";
import { noblePrimitives } from "./noble-primitives.ts";
import { createProvider } from "./provider.ts";

/** The provider for browsers and other engines: the noble libraries and `globalThis.crypto.getRandomValues`, nothing of Node. */
export const nobleCrypto: CryptoProvider = createProvider(noblePrimitives);
