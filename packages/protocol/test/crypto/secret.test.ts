import { format, inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { Secret } from "../../src/crypto/secret.ts";
import { UsageError } from "../../src/errors.ts";
import { filled } from "../support/fixtures.ts";

const KEY_BYTES = filled(32, 0x5a);

describe("a secret", () => {
  const secret = new Secret(KEY_BYTES);
  const redacted = "Secret(redacted)";

  it.each([
    { way: "as text", shown: String(secret) },
    { way: "in a template", shown: `${secret}` },
    { way: "as JSON", shown: JSON.stringify({ secret }) },
    { way: "by inspect", shown: inspect({ secret }, { depth: 9, showHidden: true }) },
    { way: "by console.log's format", shown: format("%s %o %j", secret, secret, secret) },
    { way: "in an error's text", shown: new Error(`bad key ${secret}`).message },
  ])("prints as redacted $way", ({ shown }) => {
    expect(shown).toContain(redacted);
    expect(shown).not.toMatch(/5a|90|Z/);
  });

  it("has no enumerable property that a logger could walk", () => {
    expect(Object.keys(secret)).toEqual([]);
    expect({ ...secret }).toEqual({});
  });

  it("is a copy: what the caller does with its own bytes changes nothing", () => {
    const bytes = KEY_BYTES.slice();
    const copy = new Secret(bytes);
    bytes.fill(0);
    expect(copy.expose()).toEqual(KEY_BYTES);
    expect(copy.length).toBe(32);
  });

  it("can take bytes over instead, and wipes exactly those", () => {
    const bytes = KEY_BYTES.slice();
    const adopted = Secret.adopt(bytes);
    expect(adopted.expose()).toBe(bytes);
    adopted.wipe();
    expect(bytes).toEqual(filled(32, 0));
  });
});

describe("a wiped secret", () => {
  it("holds zeros where its bytes were, and never acts as a zero key", () => {
    const secret = new Secret(KEY_BYTES);
    const view = secret.expose();
    expect(secret.wiped).toBe(false);
    secret.wipe();
    expect(secret.wiped).toBe(true);
    expect(view).toEqual(filled(32, 0));
    expect(() => secret.expose()).toThrow(UsageError);
    expect(() => secret.length).toThrow(expect.objectContaining({ code: "secret-wiped" }));
  });

  it("may be wiped again, and is by the end of its scope", () => {
    const secret = new Secret(KEY_BYTES);
    secret[Symbol.dispose]();
    secret.wipe();
    expect(secret.wiped).toBe(true);
    expect(String(secret)).toBe("Secret(redacted)");
  });
});
