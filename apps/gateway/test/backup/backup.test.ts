import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { expect, test } from "vitest";
import type { AuditRow } from "../../src/audit/audit-log.ts";
import { type PreparedRestore, prepareRestore } from "../../src/backup/restore.ts";
import type { RestoreTarget } from "../../src/backup/restore-anew.ts";
import type { BackupOpener } from "../../src/backup/seal.ts";
import type { OpenedRegistry } from "../../src/registry/open-registry.ts";
import { ADA, onEachDatabase, TestHome } from "../support/registries.ts";

const DERIVED = "02:00:00:00:00:01";
const IMPORTED = "02:00:00:00:00:02";
const ROTATED = "02:00:00:00:00:03";
const GONE = "02:00:00:00:00:04";
const LATER = "02:00:00:00:00:05";
const ROTATE = { graceMs: 86_400_000, compromised: false, replace: false };

onEachDatabase("a backup", (newHome) => {
  test("brings the same fleet with the same keys to a new host, on either database", async () => {
    const home = newHome();
    const opened = await fleet(home);
    const before = snapshot(opened);
    const file = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
    await opened.registry.add(request(LATER), ADA); // the gateway went on
    await home.close();
    for (const target of [newHome(), new TestHome(undefined)]) {
      const prepared = await prepare(file, target);
      expect(prepared.plan).toMatchObject({ devices: 4, ontoNothing: true, changes: [] });
      await prepared.apply(ADA);
      const restored = await target.open();
      expect(snapshot(restored)).toEqual(before);
      expect(restored.masterId).toBe(opened.masterId);
      expect(await restored.registry.audit.verify()).toMatchObject({ ok: true });
      await restored.registry.revoke(GONE, ADA);
      await target.remove();
    }
  }, 60_000);

  test("never brings back what was revoked, deleted or rotated since: it says so before it changes anything", async () => {
    const home = newHome();
    const opened = await fleet(home);
    const { registry } = opened;
    const file = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
    await registry.revoke(DERIVED, ADA);
    await registry.delete(GONE, ADA);
    const newest = await registry.rotate(ROTATED, { ...ROTATE, replace: true }, ADA);
    await registry.add(request(LATER), ADA);
    await expect(prepare(file, home)).rejects.toMatchObject({ code: "already-running" });
    await home.close();
    const { plan, apply } = await prepare(file, home);
    expect(plan.ontoNothing).toBe(false);
    expect(plan.changes.map(({ id, change }) => [id, change])).toEqual([
      [DERIVED, "kept-revoked"],
      [ROTATED, "kept-newer"],
      [GONE, "kept-deleted"],
      [LATER, "only-here"],
    ]);
    await apply(ADA);
    const after = (await home.open()).registry;
    expect(after.device(DERIVED)?.state).toBe("revoked");
    expect(after.device(GONE)).toBeUndefined();
    expect(after.device(ROTATED)?.current?.generation).toBe(newest.generation);
    expect(after.device(LATER)?.state).toBe("active");
    expect(await after.audit.verify()).toMatchObject({ ok: true });
  }, 60_000);

  test("brings a device back that is missing or older here", async () => {
    const home = newHome();
    const opened = await fleet(home);
    const old = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
    await opened.registry.add(request(LATER), ADA);
    const second = await opened.registry.rotate(DERIVED, ROTATE, ADA);
    const young = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
    await home.close();
    const target = newHome();
    await (await prepare(old, target)).apply(ADA);
    const { plan, apply } = await prepare(young, target);
    expect(plan.changes.map(({ id, change }) => [id, change])).toEqual([
      [DERIVED, "restored"],
      [LATER, "restored"],
    ]);
    await apply(ADA);
    const { registry } = await target.open();
    expect(hex(registry.candidates(DERIVED)[0].key)).toBe(hex(second.key));
    expect(registry.device(LATER)?.state).toBe("active");
  }, 60_000);
});

test("with an export of the audit nothing that was revoked, deleted or rotated since is good again, even onto nothing", async () => {
  const home = new TestHome(undefined);
  const opened = await fleet(home);
  const { registry } = opened;
  await registry.add(request(LATER), ADA);
  const file = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
  await registry.revoke(LATER, ADA);
  await registry.delete(GONE, ADA);
  await registry.rotate(DERIVED, { ...ROTATE, compromised: true }, ADA);
  await proven(home, opened, ROTATED, 2);
  await registry.rotate(ROTATED, ROTATE, ADA);
  await registry.add({ ...request("02:00:00:00:00:06"), name: "lamp", tags: ["hall"], key: { batch: "2026-12" } }, ADA);
  await registry.suspend("02:00:00:00:00:06", ADA);
  await registry.add(request("02:00:00:00:00:07"), ADA);
  await registry.retag("02:00:00:00:00:07", { add: ["a", "b"], remove: [] }, ADA);
  await registry.rename(IMPORTED, "pump", ADA);
  const foreign = new Secret(Buffer.from("not-secret test key brought along 2"));
  await registry.add({ ...request("02:00:00:00:00:08"), key: { imported: foreign } }, ADA);
  const rows: AuditRow[] = [];
  for await (const row of registry.audit.rows()) rows.push(row);
  const before = snapshot(opened);
  await home.remove();

  const target = new TestHome(undefined);
  const restore = (exported: readonly AuditRow[]) =>
    prepareRestore(file, { kind: "passphrase", passphrase: phrase() }, places(target), exported);
  await expect(
    restore(rows.map((row) => (row.action === "device.revoke" ? { ...row, device: GONE } : row))),
  ).rejects.toMatchObject({ code: "audit-broken" });
  await expect(restore(rows.filter(({ action }) => action !== "device.revoke"))).rejects.toMatchObject({
    code: "audit-broken",
  });
  await (await restore(rows)).apply(ADA);
  const after = await target.open();
  const late = "02:00:00:00:00:08"; // its key is in neither
  const comparable = (devices: ReturnType<typeof snapshot>) =>
    devices
      .filter(({ device }) => device.id !== late)
      .map(({ device: { id, name, tags, state }, keys }) => ({ id, name, tags, state, keys }));
  expect(comparable(snapshot(after))).toEqual(comparable(before));
  expect(after.registry.device(late)?.state).toBe("revoked");
  expect(after.registry.device(GONE)).toBeUndefined();
  expect(await after.registry.tombstone(GONE)).toMatchObject({ generation: 1 });
  expect(await after.registry.audit.verify()).toMatchObject({ ok: true });
  expect((await after.registry.add(request(GONE), ADA)).generation).toBe(2);
  await target.remove();
}, 60_000);

test("a backup is sealed: with a wrong passphrase, cut or changed it does not open, and nothing of it is in the clear", async () => {
  const home = new TestHome(undefined);
  const opened = await fleet(home);
  const file = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
  const text = Buffer.from(file).toString("latin1");
  expect(text).not.toContain(DERIVED);
  expect(text).toContain('"argon2id"');
  await home.close();
  const target = new TestHome(undefined);
  await expect(
    prepare(file, target, { kind: "passphrase", passphrase: phrase("another test passphrase") }),
  ).rejects.toMatchObject({ code: "wrong-passphrase" });
  const end = file.length - 1;
  for (const damaged of [
    file.subarray(0, end),
    changed(file, end),
    changed(file, 200),
    Uint8Array.of(1, 2, 3),
    new Uint8Array(0),
  ]) {
    await expect(prepare(damaged, target)).rejects.toMatchObject({
      code: expect.stringMatching(/damaged|wrong-passphrase/),
    });
  }
  expect(existsSync(join(target.directory, "master"))).toBe(false);
  await home.remove();
  await target.remove();
}, 60_000);

test("a backup for an age recipient opens with its identity, and with Debian's age where that is installed", async () => {
  const home = new TestHome(undefined);
  const opened = await fleet(home);
  const before = snapshot(opened);
  const identity = await generateX25519Identity();
  const file = await opened.backup.write(
    { kind: "age-recipient", recipient: await identityToRecipient(identity) },
    ADA,
  );
  await expect(opened.backup.write({ kind: "age-recipient", recipient: "age1nonsense" }, ADA)).rejects.toMatchObject({
    code: "usage",
  });
  await home.remove();
  const target = new TestHome(undefined);
  await expect(prepare(file, target)).rejects.toMatchObject({
    code: "usage",
    message: expect.stringContaining("--identity"),
  });
  const stranger = await generateX25519Identity();
  await expect(prepare(file, target, identityFile(stranger))).rejects.toMatchObject({ code: "wrong-passphrase" });
  await (await prepare(file, target, identityFile(identity))).apply(ADA);
  expect(snapshot(await target.open())).toEqual(before);
  await target.remove();
  expect(openedByAge(file, identity)).toMatch(/^(gzip|no age here)$/);
}, 60_000);

test("a restore that was cut short runs again; a backup of another fleet is refused", async () => {
  const home = new TestHome(undefined);
  const opened = await fleet(home);
  const file = await opened.backup.write({ kind: "passphrase", passphrase: phrase() }, ADA);
  const before = snapshot(opened);
  await home.close();
  const target = new TestHome(undefined);
  await (await prepare(file, target)).apply(ADA);
  rmSync(join(target.directory, "usmp.db")); // master and audit.head are there, the rows did not come
  rmSync(join(target.directory, "usmp.db-wal"), { force: true });
  const again = await prepare(file, target);
  expect(again.plan.lostAuditRows).toBe(1); // the row of the first restore
  await again.apply(ADA);
  expect(snapshot(await target.open())).toEqual(before);
  await target.remove();
  const other = new TestHome(undefined);
  await other.open();
  await other.close();
  const foreign = await prepare(file, other);
  await expect(foreign.apply(ADA)).rejects.toMatchObject({ code: "master-mismatch" });
  await other.remove();
  await home.remove();
}, 60_000);

async function fleet(home: TestHome): Promise<OpenedRegistry> {
  const opened = await home.open();
  const { registry } = opened;
  await registry.add({ ...request(DERIVED), name: "pump", tags: ["cellar"] }, ADA);
  await registry.add(
    { ...request(IMPORTED), key: { imported: new Secret(Buffer.from("not-secret test key brought along 1")) } },
    ADA,
  );
  await registry.add(request(ROTATED), ADA);
  await registry.rotate(ROTATED, ROTATE, ADA);
  await registry.add({ ...request(GONE), key: { batch: "2026-11" } }, ADA);
  return opened;
}

function snapshot({ registry }: OpenedRegistry) {
  return [...registry.devices()].map((device) => ({
    device,
    keys: registry.candidates(device.id).map(({ kind, key }) => (kind === "decoy" ? kind : hex(key))),
  }));
}

function prepare(
  file: Uint8Array,
  home: TestHome,
  opener: BackupOpener = { kind: "passphrase", passphrase: phrase() },
): Promise<PreparedRestore> {
  return prepareRestore(file, opener, places(home));
}

function places(home: TestHome): RestoreTarget {
  return {
    dataDirectory: home.directory,
    database: home.database,
    master: { kind: "file", path: join(home.directory, "master") },
    surroundings: { variables: {}, askPassphrase: undefined },
  };
}

async function proven(home: TestHome, { registry }: OpenedRegistry, id: string, generation: number): Promise<void> {
  const noted = registry.noteProven(id, generation);
  await home.time.clock.elapse(20);
  await noted;
}

function request(id: string) {
  return { id, name: undefined, tags: [] };
}

function phrase(text = "a test passphrase, not secret"): Secret {
  return new Secret(Buffer.from(text));
}

function identityFile(identity: string): BackupOpener {
  return { kind: "age-identity", identity: new Secret(Buffer.from(`# created for a test\n${identity}\n`)) };
}

function changed(file: Uint8Array, index: number): Uint8Array {
  const copy = Uint8Array.from(file);
  copy[index] = (copy[index] as number) ^ 1;
  return copy;
}

function openedByAge(file: Uint8Array, identity: string): string {
  const folder = mkdtempSync(join(tmpdir(), "usmp-age-"));
  try {
    writeFileSync(join(folder, "backup"), file);
    writeFileSync(join(folder, "identity"), identity, { mode: 0o600 });
    const opened = execFileSync("age", ["-d", "-i", join(folder, "identity"), join(folder, "backup")]);
    return opened[0] === 0x1f && opened[1] === 0x8b ? "gzip" : "something else";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "no age here";
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function hex(key: Secret): string {
  return Buffer.from(key.expose()).toString("hex");
}
