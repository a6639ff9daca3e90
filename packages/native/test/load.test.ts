import { describe, expect, it } from "vitest";
import type { Addon } from "../src/addon.ts";
import { INTERFACE_VERSION } from "../src/addon.ts";
import { examine } from "../src/load.ts";
import { absent, rawAddon } from "./addon.ts";

describe("an addon of another version", () => {
  it.each([undefined, () => INTERFACE_VERSION - 1, () => INTERFACE_VERSION + 1])("is not used", (interfaceVersion) => {
    const addon = { interfaceVersion } as unknown as Addon;
    expect(examine(addon)).toEqual({ reason: "the native addon is of another version: npm run build:native" });
  });
});

describe.skipIf(absent)("an addon of this version", () => {
  it("is used when it computes right, and says what it is made of", () => {
    expect(examine(rawAddon())).toMatchObject({
      crypto: { name: "native" },
      library: expect.stringMatching(/^aws-lc-rs \d+\.\d+\.\d+$/),
    });
  });

  it.each<[string, Partial<Addon>, RegExp]>([
    ["a public key", { importKeyPair: broken("importKeyPair", 1) }, /X25519 public key/],
    ["an exchange", { deriveTrafficKeys: () => 0 }, /X25519 exchange/],
    ["a seal", { seal: broken("seal", 2) }, /a frame that it seals/],
    ["an open that always answers no", { open: () => false }, /does not open what it sealed/],
    ["an open that always answers yes", { open: always }, /opens a forged frame/],
    ["a MAC", { hmacSha256: broken("hmacSha256", 1) }, /HMAC/],
  ])("is not used when it gets %s wrong", (_, wrong, reason) => {
    const examined = examine({ ...rawAddon(), ...wrong });
    expect(examined).toEqual({ reason: expect.stringMatching(/^the native addon failed its self-test: /) });
    expect("reason" in examined && examined.reason).toMatch(reason);
  });

  it("leaves no key behind from its self-test, passed or failed", () => {
    const addon = rawAddon();
    const before = addon.heldKeys();
    examine(addon);
    examine({ ...addon, seal: broken("seal", 2) } as Addon);
    expect(addon.heldKeys()).toBe(before);
  });
});

/** The function, with a bit flipped in what it wrote into its argument `index`. */
function broken(name: "importKeyPair" | "seal" | "hmacSha256", index: number): never {
  return ((...given: never[]) => {
    const answer = (rawAddon()[name] as (...given: never[]) => unknown)(...given);
    const written = given[index] as unknown as Uint8Array;
    written[0] = (written[0] as number) ^ 1;
    return answer;
  }) as never;
}

function always(keys: number, transmit: boolean, frame: Uint8Array, out: Uint8Array): boolean {
  rawAddon().open(keys, transmit, frame, out);
  return true;
}
