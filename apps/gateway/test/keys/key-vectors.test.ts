import { readFileSync } from "node:fs";
import { Secret } from "@usmp/protocol";
import { describe, expect, test } from "vitest";
import { DeviceKeys, deriveKey } from "../../src/keys/device-keys.ts";
import { MasterSecret, type SubkeyLabel } from "../../src/master/master-secret.ts";

interface DeviceVector {
  readonly id: string;
  readonly generation: number;
  readonly key: string;
  readonly expanded?: string;
}

const vectors = JSON.parse(readFileSync(new URL("../vectors/keys.json", import.meta.url), "utf8")) as {
  readonly note: string;
  readonly master: string;
  readonly masterId: string;
  readonly subkeys: Record<SubkeyLabel, string>;
  readonly devices: readonly DeviceVector[];
  readonly batches: readonly { batch: string; key: string; devices: readonly DeviceVector[] }[];
  readonly sealed: readonly { id: string; generation: number; purpose: "device-key"; secret: string; sealed: string }[];
};
const secret = (digits: string): Secret => new Secret(Buffer.from(digits, "hex"));
const hex = (key: Secret): string => Buffer.from(key.expose()).toString("hex");
const master = new MasterSecret(secret(vectors.master));
const keys = new DeviceKeys(master);

describe("key derivation, as docs/keys.md has it and another program computed it", () => {
  test("the vectors say that their keys are test keys", () => {
    expect(vectors.note).toContain("TEST KEYS");
  });

  test("the master's name and its subkeys", () => {
    expect(master.id).toBe(vectors.masterId);
    for (const [label, subkey] of Object.entries(vectors.subkeys)) {
      expect(hex(master.subkey(label as SubkeyLabel)), label).toBe(subkey);
    }
  });

  test.each(vectors.devices)("device $id, generation $generation", ({ id, generation, key }) => {
    expect(hex(keys.derive(id, generation))).toBe(key);
  });

  test("one of them shows that zero bytes are left out", () => {
    expect(vectors.devices.some(({ key, expanded }) => !expanded?.startsWith(key))).toBe(true);
  });

  test.each(vectors.batches)("batch $batch, in the gateway and in the factory", ({ batch, key, devices }) => {
    expect(hex(keys.batchKey(batch))).toBe(key);
    for (const { id, generation, key: deviceKey } of devices) {
      expect(hex(keys.deriveFactory(batch, id, generation))).toBe(deviceKey);
      expect(hex(deriveKey(secret(key), id, generation))).toBe(deviceKey);
    }
  });

  test.each(vectors.sealed)("a sealed $purpose opens", ({ id, generation, purpose, secret: held, sealed }) => {
    expect(hex(keys.open(Buffer.from(sealed, "hex"), { id, generation, purpose }))).toBe(held);
  });
});
