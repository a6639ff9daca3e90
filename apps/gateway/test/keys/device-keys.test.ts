import { hkdfSync } from "node:crypto";
import { Secret } from "@usmp/protocol";
import { expect, test } from "vitest";
import { DeviceKeys, deriveKey } from "../../src/keys/device-keys.ts";
import { MasterSecret } from "../../src/master/master-secret.ts";

const ID = "02:00:00:00:00:01";
const master = new MasterSecret(new Secret(Buffer.from("not-secret test master 32 bytes!")));
const keys = new DeviceKeys(master);

test("a derived key is HKDF over id and generation, 48 bytes without the zeros, cut to 32", () => {
  const derive = hkdf(Buffer.from("not-secret test master 32 bytes!"), "usmp master derive", 32);
  for (const generation of [1, 2, 300, 0xffffffff]) {
    const info = Buffer.concat([
      Buffer.from("usmp device key 1\0"),
      Buffer.from("020000000001", "hex"),
      u32(generation),
    ]);
    const expected = hkdf(derive, info, 48)
      .filter((byte) => byte !== 0)
      .subarray(0, 32);
    expect(hex(keys.derive(ID, generation))).toBe(Buffer.from(expected).toString("hex"));
  }
});

test("no key of 5,000 has a zero byte, and no two are the same", () => {
  const seen = new Set<string>();
  for (let generation = 1; generation <= 5_000; generation++) {
    const key = keys.derive(ID, generation);
    expect(key.expose().indexOf(0)).toBe(-1);
    seen.add(hex(key));
  }
  expect(seen.size).toBe(5_000);
});

test("a batch's key makes its devices' keys and no others", () => {
  const batch = keys.batchKey("2026-11");
  expect(hex(deriveKey(batch, ID, 1))).toBe(hex(keys.deriveFactory("2026-11", ID, 1)));
  expect(hex(keys.deriveFactory("2026-12", ID, 1))).not.toBe(hex(keys.deriveFactory("2026-11", ID, 1)));
  expect(hex(keys.derive(ID, 1))).not.toBe(hex(keys.deriveFactory("2026-11", ID, 1)));
});

test("a sealed key opens for its device, generation and purpose alone, and under its master alone", () => {
  const secret = new Secret(Buffer.from("not-secret test key, 33 bytes ok!"));
  const context = { id: ID, generation: 3, purpose: "device-key" } as const;
  const sealed = keys.seal(secret, context);
  expect(hex(keys.open(sealed, context))).toBe(hex(secret));
  expect(Buffer.from(keys.seal(secret, context)).equals(Buffer.from(sealed))).toBe(false);
  expect(Buffer.from(sealed).includes(Buffer.from(secret.expose()))).toBe(false);
  for (const other of [
    { ...context, id: "02:00:00:00:00:02" },
    { ...context, generation: 4 },
    { ...context, purpose: "message-key" as const },
  ]) {
    expect(() => keys.open(sealed, other)).toThrow("does not open");
  }
  for (let index = 0; index < sealed.length; index++) {
    const changed = Uint8Array.from(sealed);
    changed[index] = (changed[index] as number) ^ 1;
    expect(() => keys.open(changed, context)).toThrow("does not open");
  }
  expect(() => keys.open(new Uint8Array(5), context)).toThrow("does not open");
  const other = new DeviceKeys(new MasterSecret(new Secret(Buffer.from("another not-secret test master!!"))));
  expect(() => other.open(sealed, context)).toThrow("does not open");
});

function hkdf(key: Uint8Array, info: string | Uint8Array, length: number): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(0), info, length));
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function hex(secret: Secret): string {
  return Buffer.from(secret.expose()).toString("hex");
}
