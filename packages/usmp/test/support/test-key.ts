/** Not random and not secret: a key that opens nothing but these tests. */
export const TEST_PSK: Uint8Array = new Uint8Array(32).fill(0x5a);
