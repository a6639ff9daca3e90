import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GatewayProcess, newDirectory } from "./gateway-process.ts";
import { finished } from "./process.ts";

const TIMEOUT_MS = 180_000;

test(
  "a fleet moves to a new host by backup and restore, and devices reconnect with no change",
  async () => {
    const here = newDirectory();
    const phrase = { USMP_PASSPHRASE_FILE: passphraseFile(here) };
    const gateway = await GatewayProcess.start();
    const [pump, lamp] = [await gateway.enrol(["--name", "pump"]), await gateway.enrol()];
    const live = await gateway.connect(pump, "tcp");
    const file = join(here, "fleet.backup");
    expect(await gateway.must(["backup", file], phrase)).toMatchObject([
      { event: "backup", file, sealed: "passphrase" },
    ]);
    expect(await gateway.run(["backup", file], phrase)).toMatchObject({
      code: 2,
      err: expect.stringContaining("exists"),
    });
    expect(live.open).toBe(true);
    await gateway.stop();

    const elsewhere = newDirectory();
    const asked = await finished(["restore", file, "--data", elsewhere, "--json"], "", phrase);
    expect(asked).toMatchObject({ code: 2, err: expect.stringContaining("--yes") });
    const restored = await finished(["restore", file, "--data", elsewhere, "--json", "--yes"], "", phrase);
    expect(restored.code, restored.err).toBe(0);
    expect(events(restored.out)).toEqual(["restore", "restored"]);
    const moved = await GatewayProcess.start(elsewhere);
    for (const [device, transport] of [
      [pump, "tcp"],
      [lamp, "udp"],
    ] as const) {
      const session = await moved.connect(device, transport);
      await session.send("hello from before");
      await session.close();
    }
    expect(await moved.must(["device", "list"])).toMatchObject([{ state: "active" }, { state: "active" }]);
    expect(await moved.must(["audit", "verify"])).toMatchObject([{ event: "verdict", ok: true }]);
    await moved.stop();
  },
  TIMEOUT_MS,
);

test(
  "a restore onto a fleet in use lists what changed since, and brings no revoked key back",
  async () => {
    const here = newDirectory();
    const phrase = { USMP_PASSPHRASE_FILE: passphraseFile(here) };
    const gateway = await GatewayProcess.start();
    const stolen = await gateway.enrol();
    const file = join(here, "fleet.backup");
    await gateway.must(["backup", file], phrase);
    await gateway.must(["device", "revoke", stolen.id]);
    const running = await finished(["restore", file, "--data", gateway.data, "--json", "--yes"], "", phrase);
    expect(running).toMatchObject({ code: 1, err: expect.stringContaining("already-running") });
    await gateway.stop();
    const restored = await finished(["restore", file, "--data", gateway.data, "--json", "--yes"], "", phrase);
    expect(restored.out).toContain("kept-revoked");
    const again = await GatewayProcess.start(gateway.data);
    await expect(again.connect(stolen, "tcp")).rejects.toMatchObject({ code: "refused-by-server" });
    expect(await again.must(["why", stolen.id])).toMatchObject([{ cause: "revoked" }]);
    await again.stop();
  },
  TIMEOUT_MS,
);

test(
  "a fleet moves to a new master: old and new keys are good, then the old master is gone",
  async () => {
    const gateway = await GatewayProcess.start();
    const old = await gateway.enrol();
    const before = readFileSync(join(gateway.data, "master"), "utf8");
    const [move, fresh] = (await gateway.must(["master", "rotate", "--grace", "1h"])) as unknown as [
      Record<string, unknown>,
      { id: string; psk: string; generation: number },
    ];
    expect(move).toMatchObject({ event: "master", devices: 1, remaining: 1 });
    expect(fresh).toMatchObject({ id: old.id, generation: 2 });
    expect(readFileSync(join(gateway.data, "master"), "utf8")).not.toBe(before);
    for (const device of [old, fresh]) await (await gateway.connect(device, "tcp")).close();
    // The first proof of the new key is written a moment later; then the old key is dead, and sessions that it opened meanwhile end.
    await expect.poll(() => outcome(gateway, old), { timeout: 5_000 }).toBe("refused-by-server");
    await gateway.stop();
    const again = await GatewayProcess.start(gateway.data);
    await (await again.connect(fresh, "udp")).close();
    expect(await again.must(["audit", "verify"])).toMatchObject([{ ok: true }]);
    const actions = (await again.must(["audit", "export"])).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(["device.add", "master.rotate", "device.rotation-done"]));
    await again.stop();
  },
  TIMEOUT_MS,
);

test(
  "an audit whose second place was taken away fails to verify until somebody accepts it",
  async () => {
    const gateway = await GatewayProcess.start();
    await gateway.enrol();
    await gateway.stop();
    rmSync(join(gateway.data, "audit.head"));
    const again = await GatewayProcess.start(gateway.data);
    expect(await again.run(["audit", "verify"])).toMatchObject({
      code: 1,
      lines: [{ ok: false, problem: "head-missing" }],
    });
    expect(await again.must(["audit", "accept"])).toMatchObject([{ ok: true }]);
    expect(await again.must(["audit", "verify"])).toMatchObject([{ ok: true }]);
    await again.stop();
  },
  TIMEOUT_MS,
);

test(
  "a master sealed with a passphrase, in a variable or from a command needs no file in the clear",
  async () => {
    const here = newDirectory();
    const phrase = { USMP_PASSPHRASE_FILE: passphraseFile(here) };
    const sealed = join(here, "sealed");
    const first = await GatewayProcess.start(newDirectory(), ["--master-sealed", sealed], phrase);
    const device = await first.enrol();
    await first.stop();
    const second = await GatewayProcess.start(first.data, ["--master-sealed", sealed], phrase);
    await (await second.connect(device, "tcp")).close();
    await second.stop();
    const secret = "5e".repeat(32);
    const command = await GatewayProcess.start(newDirectory(), [
      "--master-command",
      `${process.execPath} -p "${secret}".trim()`,
    ]);
    const other = await command.enrol();
    await command.stop();
    const variable = await GatewayProcess.start(command.data, ["--master-variable", "TEST_MASTER"], {
      TEST_MASTER: secret,
    });
    await (await variable.connect(other, "tcp")).close();
    await variable.stop();
  },
  TIMEOUT_MS,
);

async function outcome(
  gateway: GatewayProcess,
  device: { readonly id: string; readonly psk: string },
): Promise<string> {
  try {
    const session = await gateway.connect(device, "tcp");
    await session.close();
    return "connected";
  } catch (error) {
    return String((error as { code?: string }).code);
  }
}

function passphraseFile(directory: string): string {
  const path = join(directory, "passphrase");
  writeFileSync(path, "a test passphrase, not secret\n", { mode: 0o600 });
  return path;
}

function events(out: string): readonly unknown[] {
  return out
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as Record<string, unknown>)["event"]);
}
