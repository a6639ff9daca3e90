import { Secret } from "@usmp/protocol";
import { expect, test } from "vitest";
import type { AddRequest, Registry, RegistryChange } from "../../src/registry/registry.ts";
import { ADA, BEGIN, onEachDatabase, type TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const OTHER = "02:00:00:00:00:02";
const WEEK_MS = 7 * 86_400_000;
const PLAIN = { graceMs: WEEK_MS, compromised: false, replace: false };

onEachDatabase("a registry", (newHome) => {
  test("enrols a device with a key that the next start derives again", async () => {
    const home = newHome();
    const { registry, created, exposure } = await home.open();
    expect(created).toBe(true);
    expect(exposure?.problem).toContain("every device's key");
    const enrolled = await registry.add(request(ID, { name: "pump", tags: ["cellar"] }), ADA);
    expect(enrolled).toMatchObject({ generation: 1, origin: "derived" });
    expect(enrolled.key.length).toBe(32);
    expect(enrolled.key.expose()).not.toContain(0);
    expect(registry.device(ID)).toMatchObject({
      id: ID,
      name: "pump",
      tags: ["cellar"],
      state: "active",
      addedAt: BEGIN,
    });
    await home.close();
    const again = await home.open();
    expect(again.created).toBe(false);
    expect(again.registry.device(ID)).toMatchObject({ name: "pump", tags: ["cellar"], current: { generation: 1 } });
    expect(keysOf(again.registry, ID)).toEqual({ current: hex(enrolled.key), decoy: expect.any(String) });
  });

  test("draws ids that are locally administered, and enrols many at once or none", async () => {
    const { registry } = await newHome().open();
    const enrolments = await registry.addMany([request(undefined), request(undefined), request(ID)], ADA);
    expect(enrolments.map(({ device }) => Number.parseInt(device.id.slice(0, 2), 16) & 0x03)).toEqual([2, 2, 2]);
    await expect(registry.addMany([request(OTHER), request(ID)], ADA)).rejects.toMatchObject({ code: "device-exists" });
    expect(registry.device(OTHER)).toBeUndefined();
    await expect(registry.addMany([request(OTHER), request(OTHER)], ADA)).rejects.toMatchObject({
      code: "device-exists",
    });
    expect([...registry.devices()]).toHaveLength(3);
  });

  test("gives two candidates for every id, and decoys for whom it does not admit", async () => {
    const { registry } = await newHome().open();
    await registry.add(request(ID), ADA);
    expect(kinds(registry, ID)).toEqual(["current", "decoy"]);
    expect(kinds(registry, OTHER)).toEqual(["decoy", "decoy"]);
    await registry.rotate(ID, PLAIN, ADA);
    expect(kinds(registry, ID)).toEqual(["current", "previous"]);
    await registry.suspend(ID, ADA);
    expect(kinds(registry, ID)).toEqual(["decoy", "decoy"]);
    await registry.resume(ID, ADA);
    expect(kinds(registry, ID)).toEqual(["current", "previous"]);
    await registry.revoke(ID, ADA);
    expect(kinds(registry, ID)).toEqual(["decoy", "decoy"]);
  });

  test("keeps the old key good until the new one is proven", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const changes = record(registry);
    const first = await registry.add(request(ID), ADA);
    const second = await registry.rotate(ID, PLAIN, ADA);
    expect(second.generation).toBe(2);
    expect(keysOf(registry, ID)).toEqual({ current: hex(second.key), previous: hex(first.key) });
    expect(registry.device(ID)?.previous).toMatchObject({ generation: 1, graceEndsAt: BEGIN + WEEK_MS });
    await proven(home, registry, ID, 1);
    expect(kinds(registry, ID)).toEqual(["current", "previous"]);
    expect(registry.device(ID)?.previous?.provenAt).toBe(BEGIN);
    await proven(home, registry, ID, 2);
    expect(kinds(registry, ID)).toEqual(["current", "decoy"]);
    expect(registry.device(ID)?.current?.provenAt).toBe(BEGIN);
    expect(changes).toContainEqual({ type: "generation-ended", id: ID, generation: 1, because: "rotated" });
    const former = await registry.formerKeys(ID);
    expect(former.map(({ kind, generation, key }) => [kind, generation, hex(key)])).toEqual([
      ["current", 2, hex(second.key)],
      ["old", 1, hex(first.key)],
    ]);
  });

  test("takes the new key as proven also when the old one is used in the same moment", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add(request(ID), ADA);
    await registry.rotate(ID, PLAIN, ADA);
    const both = Promise.all([registry.noteProven(ID, 2), registry.noteProven(ID, 1)]);
    await home.time.pass(1_000);
    await both;
    expect(kinds(registry, ID)).toEqual(["current", "decoy"]);
  });

  test("ends the old key when its grace is over, and not while the wall clock is in doubt", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add(request(ID), ADA);
    await registry.rotate(ID, PLAIN, ADA);
    home.time.passWall(WEEK_MS - 1000);
    await registry.endGraces();
    expect(kinds(registry, ID)).toEqual(["current", "previous"]);
    home.time.wall += 10 * 365 * 86_400_000;
    await registry.endGraces();
    expect(kinds(registry, ID)).toEqual(["current", "previous"]);
    home.time.wall -= 10 * 365 * 86_400_000;
    home.time.passWall(2000);
    await registry.endGraces();
    expect(kinds(registry, ID)).toEqual(["current", "decoy"]);
  });

  test("a compromised key is dead at once, in an overlap as well", async () => {
    const { registry } = await newHome().open();
    const changes = record(registry);
    await registry.add(request(ID), ADA);
    await registry.rotate(ID, PLAIN, ADA);
    const third = await registry.rotate(ID, { ...PLAIN, compromised: true }, ADA);
    expect(third.generation).toBe(3);
    expect(keysOf(registry, ID)).toEqual({ current: hex(third.key), decoy: expect.any(String) });
    expect(changes.filter(({ type }) => type === "generation-ended")).toEqual([
      { type: "generation-ended", id: ID, generation: 2, because: "compromised" },
      { type: "generation-ended", id: ID, generation: 1, because: "compromised" },
    ]);
  });

  test("does not open a second overlap unless the unproven key is to be replaced", async () => {
    const { registry } = await newHome().open();
    const first = await registry.add(request(ID), ADA);
    await registry.rotate(ID, PLAIN, ADA);
    await expect(registry.rotate(ID, PLAIN, ADA)).rejects.toMatchObject({
      code: "rotation-open",
      message: expect.stringContaining("--replace"),
    });
    const third = await registry.rotate(ID, { ...PLAIN, replace: true }, ADA);
    expect(keysOf(registry, ID)).toEqual({ current: hex(third.key), previous: hex(first.key) });
  });

  test("a generation is never used again: a tombstone outlives the device, through a restart", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const old = await registry.add(request(ID), ADA);
    await registry.rotate(ID, PLAIN, ADA);
    await registry.revoke(ID, ADA);
    await expect(registry.add(request(ID), ADA)).rejects.toMatchObject({ code: "device-exists" });
    await expect(registry.rotate(ID, PLAIN, ADA)).rejects.toMatchObject({ code: "device-state" });
    await expect(registry.resume(ID, ADA)).rejects.toMatchObject({ code: "device-state" });
    expect(await registry.delete(ID, ADA)).toMatchObject({ generation: 2 });
    expect(await registry.tombstone(ID)).toMatchObject({ generation: 2, deletedAt: BEGIN });
    await home.close();
    const again = (await home.open()).registry;
    const anew = await again.add(request(ID), ADA);
    expect(anew.generation).toBe(3);
    expect(Object.values(keysOf(again, ID))).not.toContain(hex(old.key));
  });

  test("a key that was brought along is stored sealed, is one device's alone, and once dead stays dead", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const brought = secret("not-secret test key brought along 1");
    const enrolled = await registry.add(request(ID, { key: { imported: brought } }), ADA);
    expect(enrolled).toMatchObject({ origin: "imported" });
    expect(hex(enrolled.key)).toBe(hex(brought));
    await expect(registry.add(request(OTHER, { key: { imported: brought } }), ADA)).rejects.toMatchObject({
      code: "key-in-use",
    });
    const padded = new Secret(Uint8Array.of(...brought.expose(), 0));
    await expect(registry.add(request(OTHER, { key: { imported: padded } }), ADA)).rejects.toMatchObject({
      code: "key-in-use",
    });
    const twice = secret("not-secret test key brought along 2");
    const both = [
      request(OTHER, { key: { imported: twice } }),
      request("02:00:00:00:00:03", { key: { imported: twice } }),
    ];
    await expect(registry.addMany(both, ADA)).rejects.toMatchObject({ code: "key-in-use" });
    await registry.revoke(ID, ADA);
    await registry.delete(ID, ADA);
    await expect(registry.add(request(ID, { key: { imported: brought } }), ADA)).rejects.toMatchObject({
      code: "dead-key",
    });
    await expect(registry.add(request(OTHER, { key: { imported: padded } }), ADA)).rejects.toMatchObject({
      code: "dead-key",
    });
  });

  test("a derived key that died cannot be brought along", async () => {
    const { registry } = await newHome().open();
    const { key } = await registry.add(request(ID), ADA);
    await registry.revoke(ID, ADA);
    await expect(registry.add(request(OTHER, { key: { imported: key } }), ADA)).rejects.toMatchObject({
      code: "dead-key",
    });
  });

  test("a factory's key is derived from its batch's key alone", async () => {
    const { registry } = await newHome().open();
    const batchKey = await registry.factoryKey("2026-11", ADA);
    const enrolled = await registry.add(request(ID, { key: { batch: "2026-11" } }), ADA);
    const { deriveKey } = await import("../../src/keys/device-keys.ts");
    expect(hex(enrolled.key)).toBe(hex(deriveKey(batchKey, ID, 1)));
    expect(registry.device(ID)?.current).toMatchObject({ origin: "factory", batch: "2026-11" });
    expect((await registry.rotate(ID, PLAIN, ADA)).origin).toBe("derived");
  });

  test("renames and tags, and keeps both and when a device was last seen", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add(request(ID), ADA);
    await registry.rename(ID, "pump", ADA);
    await registry.retag(ID, { add: ["b", "a"], remove: [] }, ADA);
    await registry.retag(ID, { add: ["c"], remove: ["b"] }, ADA);
    await home.time.pass(1000);
    await proven(home, registry, ID, 1);
    await home.close();
    const device = (await home.open()).registry.device(ID);
    expect(device).toMatchObject({ name: "pump", tags: ["a", "c"], lastSeenAt: BEGIN + 1000 });
  });

  test("says what is wrong with an id that it does not have", async () => {
    const { registry } = await newHome().open();
    for (const act of [
      registry.revoke(ID, ADA),
      registry.suspend(ID, ADA),
      registry.delete(ID, ADA),
      registry.rotate(ID, PLAIN, ADA),
    ]) {
      await expect(act).rejects.toMatchObject({
        code: "unknown-device",
        message: expect.stringContaining("usmp device add"),
      });
    }
  });

  test("keeps refused attempts and strangers, bounded, over a restart", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const refusal = (at: number) => ({
      firstAt: at,
      lastAt: at,
      count: 1,
      transport: "udp" as const,
      peer: "192.0.2.1:9",
      source: "192.0.2.1",
      claimedId: ID,
      cause: { cause: "unknown-device", deletedAt: undefined } as const,
    });
    await registry.saveRefusals(Array.from({ length: 10_002 }, (_, index) => refusal(BEGIN + index)));
    await registry.saveRefusals([refusal(BEGIN + 20_000)]);
    const seen = { id: ID, transport: "tcp", source: "192.0.2.1", firstSeenAt: 1, lastSeenAt: 2, attempts: 3 } as const;
    await registry.saveSeen([seen]);
    await registry.putSetting("colour", "green");
    await registry.putSetting("colour", "red");
    await home.close();
    const again = (await home.open()).registry;
    const kept = await again.loadRefusals();
    expect(kept).toHaveLength(10_000);
    expect(kept[0]?.lastAt).toBe(BEGIN + 20_000);
    expect(await again.loadSeen()).toEqual([seen]);
    expect(await again.setting("colour")).toBe("red");
    expect(await again.setting("shape")).toBeUndefined();
  });
});

function request(id: string | undefined, more: Partial<AddRequest> = {}): AddRequest {
  return { id, name: undefined, tags: [], ...more };
}

function secret(text: string): Secret {
  return new Secret(new TextEncoder().encode(text));
}

function hex(key: Secret): string {
  return Buffer.from(key.expose()).toString("hex");
}

function kinds(registry: Registry, id: string): readonly string[] {
  return registry.candidates(id).map(({ kind }) => kind);
}

function keysOf(registry: Registry, id: string): Record<string, string> {
  return Object.fromEntries(registry.candidates(id).map(({ kind, key }) => [kind, hex(key)]));
}

function record(registry: Registry): RegistryChange[] {
  const changes: RegistryChange[] = [];
  registry.onChange((change) => changes.push(change));
  return changes;
}

/** First proofs are written together, a moment later. */
async function proven(home: TestHome, registry: Registry, id: string, generation: number): Promise<void> {
  const noted = registry.noteProven(id, generation);
  await home.time.clock.elapse(20);
  await noted;
}
