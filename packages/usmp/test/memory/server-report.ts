/** A key for tests, nothing else. */
export const TEST_PSK: Uint8Array = new TextEncoder().encode("a test key of the core dump proof");

/** What the server's process tells the one that searches its memory. */
export type ToParent =
  | { readonly type: "listening"; readonly tcp: number; readonly udp: number }
  | {
      readonly type: "collected";
      /** Each of `masked` is a 32-byte random value, a private key among others, XORed with this; in hexadecimal. */
      readonly mask: string;
      readonly masked: readonly string[];
      readonly sessionsOpen: number;
    };
