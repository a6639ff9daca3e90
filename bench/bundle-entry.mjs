/** What size.mjs measures: all of the core, and the provider for browsers. */
export { nobleCrypto } from "@usmp/crypto/noble";

import * as protocol from "@usmp/protocol";

export { protocol };
