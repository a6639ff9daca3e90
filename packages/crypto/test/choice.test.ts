import { UsageError } from "@usmp/protocol";
import { describe, expect, it } from "vitest";
import { chooseCrypto, cryptoChoice, defaultCrypto, nobleCrypto, nodeCrypto } from "../src/index.ts";

const NATIVE = { crypto: { ...nodeCrypto, name: "native" }, library: "aws-lc-rs 0.0.0", sockets: undefined };
const absent = () => ({ reason: "the native addon is not built: npm run build:native" });
const present = () => NATIVE;

describe("the provider in use", () => {
  it.each([undefined, ""])("is native when that loads, and says what it is made of (USMP_CRYPTO is %j)", (forced) => {
    expect(chooseCrypto(forced, present)).toEqual({ crypto: NATIVE.crypto, why: "aws-lc-rs 0.0.0" });
  });

  it.each([undefined, ""])("is node:crypto when it does not, and says why (USMP_CRYPTO is %j)", (forced) => {
    expect(chooseCrypto(forced, absent)).toEqual({ crypto: nodeCrypto, why: absent().reason });
  });

  it("is the one that USMP_CRYPTO forces", () => {
    expect(chooseCrypto("node", present)).toEqual({ crypto: nodeCrypto, why: "USMP_CRYPTO=node" });
    expect(chooseCrypto("noble", present)).toEqual({ crypto: nobleCrypto, why: "USMP_CRYPTO=noble" });
    expect(chooseCrypto("native", present).crypto).toBe(NATIVE.crypto);
  });

  it("is none when a forced one is not there: the error says what to do", () => {
    const says = /USMP_CRYPTO is "native", but the native addon is not built: npm run build:native; .* unset$/;
    expect(() => chooseCrypto("native", absent)).toThrow(says);
    expect(() => chooseCrypto("native", absent)).toThrow(UsageError);
  });

  it.each(["openssl", "Node", "native ", "x".repeat(1_000)])("is none when USMP_CRYPTO is %j", (forced) => {
    expect(() => chooseCrypto(forced, present)).toThrow(
      /^USMP_CRYPTO is ".{1,32}": give node, native or noble, or leave it unset$/,
    );
    expect(() => chooseCrypto(forced, present)).toThrow(UsageError);
  });

  it("is chosen once in a process", () => {
    expect(cryptoChoice()).toBe(cryptoChoice());
    expect(defaultCrypto()).toBe(cryptoChoice().crypto);
  });
});
