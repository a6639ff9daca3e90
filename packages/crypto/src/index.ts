export { nobleCrypto } from "./noble.ts";
export { nodeCrypto } from "./node.ts";
