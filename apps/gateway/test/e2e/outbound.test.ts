import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TcpRelay } from "@usmp/testkit";
import { connect, type Session } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import type { OutboundView } from "../../src/control/methods.ts";
import { keyOf, TestGateway } from "../support/gateways.ts";
import { openMessagesSoon } from "../support/message-storages.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { onEachDatabase, TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const OTHER = "02:00:00:00:00:02";
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const textOf = (message: Uint8Array | undefined): string | undefined =>
  message === undefined ? undefined : Buffer.from(message).toString();

async function receiveTexts(session: Session, count: number): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  while (texts.length < count) texts.push(textOf(await session.receive()));
  return texts;
}

/** The states that a message goes through from now on. */
async function follow(running: TestGateway, message: number): Promise<OutboundView[]> {
  return running.all("message.follow", { message });
}

onEachDatabase("messages to devices", (newHome) => {
  describe.each(["tcp", "udp"] as const)("over %s", (transport) => {
    test("wait for a device that is offline, and are delivered in order when it comes", async () => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const sent: OutboundView[] = [];
      for (const text of ["one", "two", "three"])
        sent.push(await running.control.call("message.send", { id: ID, data: base64(text) }));
      expect(sent.map(({ state }) => state)).toEqual(["queued", "queued", "queued"]);
      expect(await running.all("message.queue", {})).toEqual(sent);
      const following = follow(running, sent[2]?.message ?? 0);
      const device = await running.device(ID, psk, transport);
      expect(await receiveTexts(device, 3)).toEqual(["one", "two", "three"]);
      const states = await following;
      expect(states.map(({ state }) => state)).toEqual(["queued", "sent", "confirmed"]);
      expect(states.at(-1)).toMatchObject({ attempts: 1, maybeTwice: false, bytes: 5, device: ID });
      expect(await running.all("message.queue", {})).toEqual([]);
    });

    test("go at once to a device that is online, of any size up to 1,808 bytes", async () => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const device = await running.device(ID, psk, transport);
      for (const size of [0, 1, 452, 453, 1_808]) {
        const data = randomBytes(size);
        const { message } = await running.control.call("message.send", { id: ID, data: data.toString("base64") });
        expect(Buffer.from((await device.receive()) ?? []).equals(data)).toBe(true);
        expect((await follow(running, message)).at(-1)?.state).toBe("confirmed");
      }
    });

    test("that a session had and did not confirm are marked as maybe twice, and come with the next session", async () => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      await deafDevice(running, psk, transport);
      const { message } = await running.control.call("message.send", { id: ID, data: base64("lost?") });
      await expect.poll(async () => (await running.control.call("message.show", { message })).state).toBe("sent");
      for (const { session } of running.sessions) session.abort();
      await expect
        .poll(async () => running.control.call("message.show", { message }))
        .toMatchObject({ state: "queued", maybeTwice: true, attempts: 1 });
      const second = await running.device(ID, psk, transport);
      expect(await receiveTexts(second, 1)).toEqual(["lost?"]);
      const states = await follow(running, message);
      expect(states.at(-1)).toMatchObject({ state: "confirmed", maybeTwice: true, attempts: 2 });
    });
  });

  test("wait while their device is suspended, and are cancelled with it", async () => {
    const running = await TestGateway.open(newHome());
    const { psk } = await running.add(ID);
    await running.control.call("device.suspend", { id: ID });
    await running.control.call("message.send", { id: ID, data: base64("kept") });
    await running.control.call("device.resume", { id: ID });
    const device = await running.device(ID, psk);
    expect(await receiveTexts(device, 1)).toEqual(["kept"]);
    device.abort();
    await running.control.call("device.suspend", { id: ID });
    const { message } = await running.control.call("message.send", { id: ID, data: base64("gone") });
    await running.control.call("device.revoke", { id: ID });
    expect((await follow(running, message)).at(-1)?.state).toBe("cancelled");
    await expect(running.control.call("message.send", { id: ID, data: "" })).rejects.toMatchObject({
      code: "device-state",
    });
  });

  test("are sealed at rest when that is asked for; one whose row was changed is cancelled and holds up nobody", async () => {
    const home = newHome();
    const running = await TestGateway.open(home, { messages: { sealed: true } });
    const { psk } = await running.add(ID);
    const first = await running.control.call("message.send", { id: ID, data: base64("attack at dawn") });
    await running.control.call("message.send", { id: ID, data: base64("attack at noon") });
    await running.gateway.close();
    const storage = await openMessagesSoon(home);
    const rows = await storage.db.selectFrom("messages_out").select(["sealed_by", "data"]).execute();
    for (const { sealed_by, data } of rows) {
      expect(sealed_by).not.toBeNull();
      expect(Buffer.from(data).toString("latin1")).not.toContain("attack");
    }
    await storage.transaction(async ({ sql }) => {
      const data = Buffer.alloc(rows[0]?.data.length ?? 0);
      await sql.updateTable("messages_out").set({ data }).where("id", "=", first.message).execute();
    });
    await storage.close();
    const again = await TestGateway.open(home, { messages: { sealed: true } });
    const device = await again.device(ID, psk);
    expect(await receiveTexts(device, 1)).toEqual(["attack at noon"]);
    expect((await again.control.call("message.show", { message: first.message })).state).toBe("cancelled");
  });

  test("are in the audit with sender, device and numbers, and never with what they say", async () => {
    const running = await TestGateway.open(newHome());
    await running.add(ID);
    const { message, by } = await running.control.call("message.send", { id: ID, data: base64("attack at dawn") });
    await running.control.call("message.cancel", { message });
    await expect
      .poll(async () => (await running.all("audit.export", {})).filter(({ action }) => action.startsWith("message.")))
      .toMatchObject([
        { action: "message.cancel", who: by },
        { action: "message.send", who: by, device: ID, detail: { messages: 1, first: message, last: message } },
      ]);
    expect(JSON.stringify(await running.all("audit.export", {}))).not.toMatch(/attack|YXR0YWNr/);
    expect(await running.control.call("audit.verify", {})).toMatchObject({ ok: true });
  });

  test("end with a follower that has gone, and the gateway does not keep it", async () => {
    const running = await TestGateway.open(newHome());
    await running.add(ID);
    const { message } = await running.control.call("message.send", { id: ID, data: base64("text") });
    for await (const { state } of running.control.stream("message.follow", { message })) {
      expect(state).toBe("queued");
      break;
    }
    expect((await running.control.call("message.cancel", { message })).state).toBe("cancelled");
  });
});

test("the database is away: a clear error, sessions live on, and nothing that was promised is lost", async ({
  skip,
}) => {
  const programs = postgresPrograms();
  if (programs === undefined) return skip();
  const postgres = await startPostgres(programs);
  onTestFinished(() => postgres.remove());
  const home = new TestHome(postgres);
  onTestFinished(() => home.remove());
  const running = await TestGateway.open(home);
  const [online, offline] = [await running.add(ID), await running.add(OTHER)];
  const device = await running.device(ID, online.psk);
  const sent = await running.control.call("message.send", { id: OTHER, data: base64("promised") });
  postgres.stop();
  const failing = running.control.call("message.send", { id: ID, data: base64("refused") });
  await expect(failing).rejects.toMatchObject({ code: "database", message: /bring it back/ });
  expect(await device.ping()).toBeGreaterThan(0);
  // It is admitted from memory; what waits for it waits until the database is back.
  const other = await running.device(OTHER, offline.psk);
  postgres.start();
  expect(await receiveTexts(other, 1)).toEqual(["promised"]);
  await expect
    .poll(() => running.control.call("message.send", { id: ID, data: base64("again") }).catch(() => undefined))
    .toBeDefined();
  expect((await receiveTexts(device, 1)).at(-1)).toBe("again");
  expect((await follow(running, sent.message)).at(-1)).toMatchObject({ state: "confirmed" });
}, 120_000);

test("the disk is full: a clear error, sessions live on, and nothing that was promised is lost", async ({ skip }) => {
  const home = new TestHome(undefined);
  onTestFinished(() => home.remove());
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", home.directory]).status !== 0) {
    process.stderr.write("skipped: no file system can be mounted here, so no disk is full; run as root\n");
    return skip();
  }
  onTestFinished(() => void spawnSync("umount", ["--lazy", home.directory]));
  const running = await TestGateway.open(home);
  const { psk } = await running.add(ID);
  const device = await running.device(ID, psk);
  await running.add(OTHER);
  const promised = await running.control.call("message.send", { id: OTHER, data: base64("promised") });
  const ballast = join(home.directory, "ballast");
  expect(() => writeFileSync(ballast, Buffer.alloc(16 * 1_048_576))).toThrow("ENOSPC");
  const data = Buffer.alloc(1_800, 1).toString("base64");
  const failure = async (): Promise<unknown> => {
    for (let count = 0; count < 500; count++) await running.control.call("message.send", { id: OTHER, data });
    return undefined;
  };
  await expect(failure()).rejects.toMatchObject({ code: "database", message: /free some room/ });
  expect(await device.ping()).toBeGreaterThan(0);
  rmSync(ballast);
  await expect
    .poll(() => running.control.call("message.send", { id: ID, data: base64("again") }).catch(() => undefined))
    .toBeDefined();
  expect(await receiveTexts(device, 1)).toEqual(["again"]);
  expect((await running.control.call("message.show", { message: promised.message })).state).toBe("queued");
}, 120_000);

/** A device that has proven itself, and to which nothing comes through any more. */
async function deafDevice(running: TestGateway, psk: string, transport: "tcp" | "udp"): Promise<void> {
  let deaf = false;
  const server = { host: "127.0.0.1", port: running.port(transport) };
  const rewrite = ({ direction }: { readonly direction: string }): [] | undefined =>
    deaf && direction === "server-to-client" ? [] : undefined;
  const relay = transport === "tcp" ? await TcpRelay.start({ server, rewrite }) : undefined;
  onTestFinished(() => relay?.close());
  const session = await connect({ ...(relay?.address ?? server), transport, psk: keyOf(psk), deviceId: ID });
  onTestFinished(() => session.abort());
  await session.send("here I am");
  await expect.poll(() => running.sessions.length).toBe(1);
  await running.sessions[0]?.session.proven;
  // Without a BYE: over UDP the gateway does not notice.
  if (transport === "udp") session.abort();
  deaf = true;
}
