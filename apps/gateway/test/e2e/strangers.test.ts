import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { encodeFrame, FrameType, writeCrc } from "@usmp/protocol";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import type { RefusalView } from "../../src/control/methods.ts";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const OTHER = "02:00:00:00:00:02";

let home: TestHome;
beforeEach(() => {
  home = new TestHome(undefined);
});
afterEach(() => home.remove());

async function sendTcp(running: TestGateway, ...pieces: readonly Uint8Array[]): Promise<void> {
  const socket = connect(running.port("tcp"), "127.0.0.1");
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  for (const piece of pieces) socket.write(piece);
}

async function sendUdp(running: TestGateway, datagram: Uint8Array): Promise<void> {
  const socket = createSocket("udp4");
  onTestFinished(() => void socket.close());
  await new Promise((sent) => socket.send(datagram, running.port("udp"), "127.0.0.1", sent));
}

/** The newest refusal, once there is one with that cause. */
async function why(running: TestGateway, cause: string): Promise<RefusalView> {
  for (;;) {
    const found = (await running.all("why", {})).find((refusal) => refusal.cause === cause);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const hello = (): Uint8Array => encodeFrame(FrameType.HELLO, 0, new Uint8Array(38).fill(7));

function ofVersion(version: number): Uint8Array {
  const frame = hello();
  frame[2] = version;
  writeCrc(frame);
  return frame;
}

test("another version is named, over TCP and over UDP", async () => {
  const running = await TestGateway.open(home);
  await sendTcp(running, ofVersion(1));
  expect(await why(running, "version")).toMatchObject({ saw: 1, transport: "tcp", device: null });
  await sendUdp(running, ofVersion(3));
  await expect
    .poll(() => running.all("why", {}))
    .toContainEqual(expect.objectContaining({ cause: "version", saw: 3, transport: "udp" }));
});

test("a damaged frame is named with its offset, behind a good one", async () => {
  const running = await TestGateway.open(home);
  const damaged = hello();
  damaged[30] = 0;
  await sendTcp(running, hello(), damaged);
  const told = await why(running, "malformed-frame");
  expect(told).toMatchObject({
    violation: "bad-crc",
    offset: 50 + 10,
    during: "handshake",
    device: "07:07:07:07:07:07",
  });
  expect(told.says).toContain("malformed frame at offset 60");
});

test("another protocol is named", async () => {
  const running = await TestGateway.open(home);
  await sendTcp(running, Buffer.from("160301020001fc0303000102", "hex"));
  expect(await why(running, "not-usmp")).toMatchObject({ looksLike: "TLS" });
});

test("an address over its budget, and a full gateway, are named as that", async () => {
  const limits = {
    newcomersPerSourcePerSecond: 1,
    newcomersPerSourceBurst: 1,
    newcomersPerSecond: 1,
    overdueNewcomersPerSecond: 1,
  };
  const running = await TestGateway.open(home, { limits });
  for (let attempt = 0; attempt < 4; attempt++) await sendTcp(running, hello());
  expect(await why(running, "over-budget")).toMatchObject({ limit: "handshakes of one address" });
});

test("a full gateway is named as that, to the device that it had no room for", async () => {
  const running = await TestGateway.open(home, { limits: { sessions: 1 } });
  const first = await running.add(ID);
  const second = await running.add(OTHER);
  const session = await running.device(ID, first.psk);
  await session.ping();
  expect(await running.refused(OTHER, second.psk)).toMatchObject({ cause: "server-full", device: OTHER });
  expect(session.open).toBe(true);
});

test("a peer that goes silent is named with the step at which it did", async () => {
  const running = await TestGateway.open(home);
  await sendTcp(running);
  await sendTcp(running, hello());
  await why(running, "timeout");
  await expect
    .poll(async () => (await running.all("why", {})).map(({ says }) => says.slice(0, 17)).sort(), { timeout: 5_000 })
    .toEqual(["timeout at step 1", "timeout at step 3"]);
}, 30_000);

test("what was refused is known after a restart, and the audit has it as one row for a minute", async () => {
  const before = await TestGateway.open(home);
  await before.add(ID);
  for (let attempt = 0; attempt < 3; attempt++)
    await before.device(ID, new Uint8Array(32).fill(attempt + 1)).catch(() => {});
  await before.device(OTHER, new Uint8Array(32).fill(9)).catch(() => {});
  await expect.poll(async () => (await before.all("why", {})).reduce((sum, { count }) => sum + count, 0)).toBe(4);
  const told = await before.all("why", {});
  const seen = await before.all("device.seen", {});
  before.control.close();
  await before.gateway.close();
  const after = await TestGateway.open(home);
  expect(await after.all("why", {})).toEqual(told);
  expect(await after.all("device.seen", {})).toEqual(seen);
  const rows = (await after.all("audit.export", {})).filter(({ action }) => action === "refused");
  const counts = new Map<unknown, number>();
  for (const { detail } of rows)
    counts.set(detail["cause"], (counts.get(detail["cause"]) ?? 0) + Number(detail["count"]));
  expect(Object.fromEntries(counts)).toEqual({ "wrong-key": 3, "unknown-device": 1 });
  // One row each, two when a minute ended in between.
  expect(rows.length).toBeLessThanOrEqual(4);
  expect(await after.control.call("audit.verify", {})).toMatchObject({ ok: true });
});
