import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import { expect, test } from "vitest";
import { nextMaster, type PreparedMaster } from "../../src/master/open-master.ts";
import { ADA, onEachDatabase, type TestHome } from "../support/registries.ts";

const DERIVED = "02:00:00:00:00:01";
const IMPORTED = "02:00:00:00:00:02";
const NEVER_SEEN = "02:00:00:00:00:03";
const DAY_MS = 86_400_000;

onEachDatabase("a move to a new master", (newHome) => {
  test("gives derived keys a new generation with grace, seals the others anew, and lets the old master go at the end", async () => {
    const home = newHome();
    const { registry, masterId } = await home.open();
    const old = await registry.add(request(DERIVED), ADA);
    const brought = new Secret(new TextEncoder().encode("not-secret test key brought along 1"));
    await registry.add({ ...request(IMPORTED), key: { imported: brought } }, ADA);
    const { rotation, enrolments } = await registry.rotateMaster(next(home), { graceMs: DAY_MS }, ADA);
    expect(rotation).toMatchObject({ from: masterId, devices: 2, remaining: 1 });
    expect(enrolments.map(({ device, generation }) => [device.id, generation])).toEqual([[DERIVED, 2]]);
    expect(keys(registry.candidates(DERIVED))).toEqual([hex(enrolments[0]?.key), hex(old.key)]);
    expect(keys(registry.candidates(IMPORTED))[0]).toBe(hex(brought));
    await expect(registry.rotateMaster(next(home), { graceMs: DAY_MS }, ADA)).rejects.toMatchObject({
      code: "rotation-open",
    });
    await home.close();

    const again = await home.open();
    expect(again.masterId).toBe(rotation.to);
    expect(keys(again.registry.candidates(DERIVED))).toEqual([hex(enrolments[0]?.key), hex(old.key)]);
    expect(keys(again.registry.candidates(IMPORTED))[0]).toBe(hex(brought));
    expect(again.registry.masterRotation()).toMatchObject({ from: masterId, remaining: 1 });
    home.time.passWall(DAY_MS + 1);
    await again.registry.endGraces();
    expect(again.registry.masterRotation()).toBeUndefined();
    expect(await again.registry.audit.verify()).toMatchObject({ ok: true });
    await again.registry.rotateMaster(next(home), { graceMs: 0 }, ADA);
    await again.registry.endGraces();
    await home.close();

    // Rows of three masters: each is still verified under the key of its time.
    const third = await home.open();
    expect(await third.registry.audit.verify()).toMatchObject({ ok: true });
    expect(keys(third.registry.candidates(IMPORTED))[0]).toBe(hex(brought));
  });

  test("keeps what a device proved last when an overlap is open, and what it may hold when it never came", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const first = await registry.add(request(DERIVED), ADA);
    await registry.rotate(DERIVED, { graceMs: DAY_MS, compromised: false, replace: false }, ADA);
    const never = await registry.add(request(NEVER_SEEN), ADA);
    await registry.rotateMaster(next(home), { graceMs: DAY_MS }, ADA);
    expect(registry.device(DERIVED)).toMatchObject({ current: { generation: 3 }, previous: { generation: 1 } });
    expect(keys(registry.candidates(DERIVED))[1]).toBe(hex(first.key));
    expect(keys(registry.candidates(NEVER_SEEN))[1]).toBe(hex(never.key));
  });

  test("is finished at the next start when a crash came before the new file took its place", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add(request(DERIVED), ADA);
    const crash = { ...next(home), publish: () => Promise.reject(new Error("killed here")) };
    await expect(registry.rotateMaster(crash, { graceMs: DAY_MS }, ADA)).rejects.toThrow("killed here");
    await home.close();
    expect(existsSync(master(home, ".next"))).toBe(true);
    const again = await home.open();
    expect(again.registry.device(DERIVED)).toMatchObject({ current: { generation: 2 }, previous: { generation: 1 } });
    expect(existsSync(master(home, ".next"))).toBe(false);
    expect(statSync(master(home)).mode & 0o777).toBe(0o600);
    expect(await again.registry.audit.verify()).toMatchObject({ ok: true });
  });

  test("never happened when a crash came before the change", async () => {
    const home = newHome();
    const { registry, masterId } = await home.open();
    await registry.add(request(DERIVED), ADA);
    const prepared = next(home);
    await prepared.prepare();
    await home.close();
    expect((await home.open()).masterId).toBe(masterId);
  });

  test("a database does not open with another master, with none, or with one that others may read", async () => {
    const home = newHome();
    const { masterId } = await home.open();
    await home.close();
    renameSync(master(home), master(home, ".away"));
    await expect(home.open()).rejects.toMatchObject({
      code: "master-missing",
      message: expect.stringContaining(masterId),
    });
    expect(existsSync(master(home))).toBe(false);
    writeFileSync(master(home), `${"ab".repeat(32)}\n`, { mode: 0o600 });
    await expect(home.open()).rejects.toMatchObject({
      code: "master-mismatch",
      message: expect.stringContaining(masterId),
    });
    writeFileSync(master(home, ".open"), readFileSync(master(home, ".away")), { mode: 0o644 });
    const exposed = { kind: "file", path: master(home, ".open") } as const;
    await expect(home.open({ master: exposed })).rejects.toMatchObject({
      code: "master-exposed",
      message: expect.stringContaining("chmod 600"),
    });
  });
});

function request(id: string) {
  return { id, name: undefined, tags: [] };
}

function next(home: TestHome): PreparedMaster {
  return nextMaster({ kind: "file", path: master(home) }, { variables: {}, askPassphrase: undefined }, undefined);
}

function master(home: TestHome, suffix = ""): string {
  return join(home.directory, `master${suffix}`);
}

function keys(candidates: readonly { readonly key: Secret }[]): readonly string[] {
  return candidates.map(({ key }) => hex(key));
}

function hex(key: Secret | undefined): string {
  return Buffer.from(key?.expose() ?? []).toString("hex");
}
