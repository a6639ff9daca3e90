import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { MessageView } from "../../src/control/methods.ts";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const READING = "r".repeat(1_800);
const MESSAGES = 200;
const CONFIRMED_AT_ONCE = 20;

/** A data directory on a small disk of its own; undefined where none can be mounted. */
function smallDisk(): TestHome | undefined {
  const home = new TestHome(undefined);
  onTestFinished(() => home.remove());
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", home.directory]).status !== 0) {
    process.stderr.write("skipped: no file system can be mounted here, so no disk is full; run as root\n");
    return undefined;
  }
  onTestFinished(() => void spawnSync("umount", ["--lazy", home.directory]));
  return home;
}

describe.each(["tcp", "udp"] as const)("the store's disk is full, durable, over %s", (transport) => {
  test("it is told, sessions live on, and nothing acknowledged is lost", async () => {
    const home = smallDisk();
    if (home === undefined) return;
    const running = await TestGateway.open(home, { messages: { durable: true } });
    const { psk } = await running.add(ID);
    const device = await running.device(ID, psk, transport);
    const notices: string[] = [];
    running.gateway.events.on((event) => event.type === "notice" && notices.push(event.message));
    await device.send("before");
    await device.confirm();

    const ballast = join(home.directory, "ballast");
    expect(() => writeFileSync(ballast, Buffer.alloc(16 * 1_048_576))).toThrow("ENOSPC");
    let acknowledged = 1;
    const sending = (async () => {
      for (let count = 1; count <= MESSAGES; count++) {
        await device.send(`${count} ${READING}`.slice(0, 1_800));
        // Over TCP a confirmation is a PING, which has its pace.
        if (transport === "tcp" && count % CONFIRMED_AT_ONCE !== 0) continue;
        await device.confirm();
        acknowledged = count + 1;
      }
    })();
    sending.catch(() => {});
    const told = /messages cannot be stored: .*(full|room)/i;
    await expect.poll(() => notices.find((text) => told.test(text)) ?? notices).toMatch(told);
    expect((await running.gateway.health()).checks.find(({ name }) => name === "store")).toMatchObject({ ok: false });
    expect(device.open).toBe(true);
    expect((await stored(running)).length).toBeGreaterThanOrEqual(acknowledged);

    rmSync(ballast);
    await sending;
    const texts = await stored(running);
    const numbers = Array.from({ length: MESSAGES }, (_, n) => `${n + 1}`);
    expect(texts.map((text) => text?.split(" ")[0])).toEqual(["before", ...numbers]);
    expect(notices.at(-1)).toMatch(/stored again/);
    expect((await running.gateway.health()).checks.find(({ name }) => name === "store")).toMatchObject({ ok: true });
  }, 120_000);
});

test("a disk that can only be read: the start is refused in words, and nothing is changed", async () => {
  const home = smallDisk();
  if (home === undefined) return;
  const first = await TestGateway.open(home);
  await first.add(ID);
  await first.gateway.close();
  remount(home.directory, "ro");
  await expect(TestGateway.open(home)).rejects.toThrow(/read-?only|EROFS/i);
  remount(home.directory, "rw");
  const again = await TestGateway.open(home);
  expect(again.gateway.registry.device(ID)).toBeDefined();
});

async function stored(running: TestGateway): Promise<(string | undefined)[]> {
  return ((await running.all("message.log", { id: ID, limit: 10_000 })) as MessageView[]).map(({ text }) => text);
}

function remount(directory: string, how: "ro" | "rw"): void {
  const { status, stderr } = spawnSync("mount", ["-o", `remount,${how}`, directory], { encoding: "utf8" });
  if (status !== 0) throw new Error(`mount -o remount,${how}: ${stderr}`);
}
