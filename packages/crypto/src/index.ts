export { type CryptoChoice, chooseCrypto, cryptoChoice, defaultCrypto } from "./choice.ts";
export { nobleCrypto } from "./noble.ts";
export { nodeCrypto } from "./node.ts";
