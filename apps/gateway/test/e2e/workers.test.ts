import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Session, WorkerEvent } from "usmp";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { GatewayOptions } from "../../src/gateway/gateway.ts";
import { bytesOf, TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

// Worker processes run what was built: Node 20 runs no TypeScript.
beforeAll(() => {
  const build = fileURLToPath(new URL("../../../../scripts/build.mjs", import.meta.url));
  execFileSync(process.execPath, [build], { stdio: ["ignore", 2, 2] });
}, 120_000);

const homes: TestHome[] = [];
afterEach(async () => {
  for (const home of homes.splice(0)) await home.remove();
});

async function gatewayWithWorkers(
  options: Partial<GatewayOptions> = {},
): Promise<{ running: TestGateway; events: WorkerEvent[] }> {
  const home = new TestHome(undefined);
  homes.push(home);
  const events: WorkerEvent[] = [];
  const running = await TestGateway.open(home, { ...options, workers: 2, onWorker: (event) => events.push(event) });
  return { running, events };
}

const DEVICES = 12;
const QUEUED = 200;
const idOf = (number: number): string => `02:00:00:00:01:${number.toString(16).padStart(2, "0")}`;
const textOf = (message: Uint8Array | undefined): string => Buffer.from(message ?? []).toString();

describe.each(["tcp", "udp"] as const)("a gateway with two workers over %s", (transport) => {
  test("enrols, talks with its devices both ways, and a revoked one's session has ended within a second", async () => {
    const { running } = await gatewayWithWorkers();
    const { devices } = await running.control.call("device.add", {
      devices: Array.from({ length: DEVICES }, (_, number) => ({ id: idOf(number) })),
    });
    for (const { id, psk } of devices) {
      const device = await running.device(id, psk, transport);
      await device.send(`from ${id}`);
      await expect.poll(() => running.gateway.session(id)).toBeDefined();
      const there = running.gateway.session(id);
      expect(there?.generation).toBe(1);
      await expect.poll(() => running.textsOf(id)).toEqual([`from ${id}`]);
      await there?.session.send(`to ${id}`);
      expect(textOf(await device.receive())).toBe(`to ${id}`);

      const began = performance.now();
      const revoked = running.control.call("device.revoke", { id });
      expect(await device.closed).toEqual({ code: "closed-by-peer" });
      expect(performance.now() - began).toBeLessThan(1_000);
      await revoked;
      expect(await there?.session.closed).toEqual({ code: "dismissed", cause: "revoked" });
      expect(await running.refused(id, psk, transport)).toMatchObject({ cause: "revoked" });
    }
    expect(running.gateway.server.sessions.size).toBe(0);
  });

  test("says why a device was refused, proof and all, and rotates keys under a live session", async () => {
    const { running } = await gatewayWithWorkers();
    const old = await running.add(idOf(1));
    const session = await running.device(idOf(1), old.psk, transport);
    await session.send("here");
    const fresh = await running.rotate(idOf(1), { graceMs: 3_600_000 });
    const renewed = await running.device(idOf(1), fresh.psk, transport);
    await renewed.send("renewed");
    expect(await session.closed).toEqual({ code: "closed-by-peer" });
    await expect.poll(() => running.gateway.session(idOf(1))?.generation).toBe(2);
    await expect
      .poll(() => running.control.call("device.show", { id: idOf(1) }))
      .toMatchObject({ state: "active", provenGeneration: 2, previousGeneration: null });
    expect(await running.refused(idOf(1), old.psk, transport)).toMatchObject({ cause: "old-generation", holds: 1 });
    expect(await running.refused(idOf(1), bytesOf("ab".repeat(32)), transport)).toMatchObject({ cause: "wrong-key" });
    expect(await running.refused("02:00:00:00:00:99", fresh.psk, transport)).toMatchObject({ cause: "unknown-device" });
  });

  test("outlives a worker that is killed: its devices come back, and what the registry says holds for them", async () => {
    const { running, events } = await gatewayWithWorkers();
    const { devices } = await running.control.call("device.add", {
      devices: Array.from({ length: DEVICES }, (_, number) => ({ id: idOf(number) })),
    });
    const sessions: Session[] = [];
    for (const { id, psk } of devices) sessions.push(await running.device(id, psk, transport));
    for (const session of sessions) await session.send("here");
    process.kill(events[0]?.pid as number, "SIGKILL");
    await expect.poll(() => events.filter(({ type }) => type === "started").length).toBe(3);
    expect(await running.gateway.metricsText()).toContain("\nusmp_workers 2\n");
    expect(await running.gateway.metricsText()).toContain("\nusmp_worker_restarts_total 1\n");
    expect((await running.gateway.health()).checks.at(-1)).toEqual({
      name: "workers",
      ok: true,
      detail: "2 of 2 listen",
    });
    expect(events[2]).toMatchObject({ type: "ended", cause: "SIGKILL" });
    for (const { id, psk } of devices) {
      const again = await running.device(id, psk, transport);
      await again.send("back");
      await expect.poll(() => running.gateway.session(id)?.session.sessionId).toBe(again.sessionId);
    }
    await expect.poll(() => running.gateway.server.sessions.size).toBe(DEVICES);
    const status = await running.control.call("gateway.status", {});
    expect(JSON.stringify(status)).toContain(`${DEVICES}`);
  });

  test("stores what devices send, durably, counts it, and its queue outlives devices that vanish in the middle of it", async () => {
    const { running } = await gatewayWithWorkers({ messages: { durable: true, drainPerSecond: 1_000 } });
    const { psk } = await running.add(idOf(1));
    const numbers = Array.from({ length: QUEUED }, (_, number) => `${number}`);
    for (const number of numbers) {
      await running.control.call("message.send", { id: idOf(1), data: Buffer.from(number).toString("base64") });
    }
    const received = new Set<string>();
    let visits = 0;
    while (received.size < QUEUED) {
      const visit = visits++;
      const device = await running.device(idOf(1), psk, transport);
      await device.send(`visit ${visit}`);
      // Ever later in a batch: somewhere there the end crosses what the gateway sends.
      for (let count = 0; count < 1 + 5 * visit; count++) {
        received.add(textOf(await device.receive()));
        if (received.size === QUEUED) break;
      }
      device.abort();
      // What it had acknowledged, and not read yet, does not come again.
      for await (const message of device) received.add(textOf(message));
    }
    // It has read everything; of what it did not acknowledge before it went, the queue cannot know that.
    const stays = await running.device(idOf(1), psk, transport);
    stays.onMessage = (message) => void received.add(textOf(message));
    // Over TCP what was under way from those that vanished may be lost with them; this one stays.
    await stays.send("stays");
    await expect.poll(() => running.all("message.queue", {})).toEqual([]);
    expect([...received].sort()).toEqual([...numbers].sort());
    await expect.poll(() => running.textsOf(idOf(1))).toContain("stays");
    const metrics = (): Promise<string> => running.gateway.metricsText();
    await expect.poll(metrics).toContain(`usmp_sessions{transport="${transport}"} 1\n`);
    const stored = running.textsOf(idOf(1)).length;
    await expect.poll(metrics).toContain(`\nusmp_stored_messages_total ${stored}\n`);
  });
});
