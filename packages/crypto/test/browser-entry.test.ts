import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const SOURCE = new URL("../src/", import.meta.url);

describe("the entry for browsers, @usmp/crypto/noble", () => {
  it("reaches noble and the protocol core, and no module of Node", () => {
    expect([...reachedFrom("noble.ts")].sort()).toEqual([
      "./noble-primitives.ts",
      "./primitives.ts",
      "./provider.ts",
      "./record-key.ts",
      "./traffic-keys.ts",
      "@noble/ciphers/aes.js",
      "@noble/curves/ed25519.js",
      "@noble/hashes/hkdf.js",
      "@noble/hashes/hmac.js",
      "@noble/hashes/sha2.js",
      "@usmp/protocol",
    ]);
  });

  it("uses no global that only Node has", () => {
    for (const file of reachedFrom("noble.ts")) {
      if (!file.startsWith("./")) continue;
      expect(readFileSync(new URL(file, SOURCE), "utf8"), file).not.toMatch(
        /\b(Buffer|process|require|setImmediate)\b/,
      );
    }
  });

  it("would be caught: the entry for Node reaches node:crypto", () => {
    expect(reachedFrom("node.ts")).toContain("node:crypto");
  });
});

/** Every specifier that a source file imports, its own files followed. */
function reachedFrom(file: string, reached: Set<string> = new Set()): Set<string> {
  const source = readFileSync(new URL(file, SOURCE), "utf8");
  for (const [, specifier] of source.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    if (specifier === undefined || reached.has(specifier)) continue;
    reached.add(specifier);
    if (specifier.startsWith("./")) reachedFrom(specifier, reached);
  }
  return reached;
}
