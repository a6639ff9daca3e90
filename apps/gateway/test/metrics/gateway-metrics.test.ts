import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom, UdpRelay } from "@usmp/testkit";
import { connect, type Session } from "usmp";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { OutboundRecord } from "../../src/messages/messages.ts";
import { CAUSE_NAMES } from "../../src/why/cause.ts";
import { inbound } from "../sinks/messages.ts";
import { bytesOf, keyOf, TestGateway } from "../support/gateways.ts";
import { expectGoodMetrics, hasPromtool } from "../support/promtool.ts";
import { TestHome } from "../support/registries.ts";

const homes: TestHome[] = [];
afterEach(async () => {
  for (const home of homes.splice(0)) await home.remove();
});

function newHome(): TestHome {
  const home = new TestHome(undefined);
  homes.push(home);
  return home;
}

/** The gateway's samples by name and labels, as they stand in the text. */
async function scrape({ gateway }: TestGateway): Promise<Record<string, number>> {
  const text = await gateway.metricsText();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

async function exchange(testGateway: TestGateway, session: Session, messages: number): Promise<void> {
  const { sessions } = testGateway;
  const served = () => sessions.find((each) => each.session.sessionId === session.sessionId)?.session;
  await expect.poll(served).toBeDefined();
  for (let i = 0; i < messages; i++) await session.send("twelve bytes");
  await expect.poll(() => served()?.statistics.messagesReceived).toBe(messages);
}

test("sessions, messages and bytes by transport; what ended ones did stays", async () => {
  const testGateway = await TestGateway.open(newHome());
  const { psk, id } = await testGateway.add();
  const other = await testGateway.add();
  const [udp, tcp] = [await testGateway.device(id, psk, "udp"), await testGateway.device(other.id, other.psk, "tcp")];
  await exchange(testGateway, udp, 3);
  await exchange(testGateway, tcp, 5);
  const before = await scrape(testGateway);
  expect(before).toMatchObject({
    usmp_devices: 2,
    'usmp_sessions{transport="tcp"}': 1,
    'usmp_sessions{transport="udp"}': 1,
    'usmp_handshakes_total{outcome="established",cause=""}': 2,
    'usmp_messages_total{direction="in",transport="udp"}': 3,
    'usmp_messages_total{direction="in",transport="tcp"}': 5,
    [`usmp_build_info{version="test",node="${process.versions.node}"}`]: 1,
  });
  expect(before['usmp_bytes_total{direction="in",transport="udp"}']).toBeGreaterThan(3 * 12);
  await udp.rekey();
  await udp.close();
  await expect.poll(async () => (await scrape(testGateway))['usmp_sessions{transport="udp"}']).toBe(0);
  expect(await scrape(testGateway)).toMatchObject({
    'usmp_messages_total{direction="in",transport="udp"}': 3,
    'usmp_rekeys_total{transport="udp"}': 1,
    'usmp_sessions_ended_total{reason="closed-by-peer"}': 1,
  });
});

test("refused attempts by cause: every cause from the start, and no other label", async () => {
  const testGateway = await TestGateway.open(newHome());
  const { id } = await testGateway.add();
  const before = await scrape(testGateway);
  for (const cause of CAUSE_NAMES) expect(before[`usmp_handshakes_total{outcome="refused",cause="${cause}"}`]).toBe(0);
  await testGateway.refused(id, Buffer.alloc(32, 7));
  await testGateway.refused("02:00:00:00:00:99", Buffer.alloc(32, 7));
  const after = await scrape(testGateway);
  expect(after['usmp_handshakes_total{outcome="refused",cause="wrong-key"}']).toBe(1);
  expect(after['usmp_handshakes_total{outcome="refused",cause="unknown-device"}']).toBe(1);
  expect(Object.keys(after).filter((name) => /02:00|127\.0\.0\.1/.test(name))).toEqual([]);
});

test("a session that moves is a roam that begins, and one that is proven", async () => {
  const testGateway = await TestGateway.open(newHome());
  const { id, psk } = await testGateway.add();
  const server = { host: "127.0.0.1", port: testGateway.port("udp") };
  const relay = await UdpRelay.start({ server, random: new SeededRandom(1) });
  onTestFinished(() => relay.close());
  const session = await connect({ ...relay.address, transport: "udp", deviceId: id, psk: keyOf(psk) });
  onTestFinished(() => session.abort());
  await session.send("at home");
  await relay.rebind();
  await session.send("away");
  await expect.poll(async () => (await scrape(testGateway))['usmp_roams_total{proven="true"}']).toBe(1);
  expect((await scrape(testGateway))['usmp_roams_total{proven="false"}']).toBe(1);
});

test("latencies of store and delivery, the fate of messages to devices, and sinks, from the events", async () => {
  const home = newHome();
  const sinks = [{ name: "log", type: "file", devices: undefined, options: { path: join(home.directory, "log") } }];
  const testGateway = await TestGateway.open(home, { sinks, wallClock: home.time.wallClock });
  const { events } = testGateway.gateway;
  events.emit({ type: "message", message: { ...inbound(1), time: home.time.wall - 40 } });
  const record: OutboundRecord = {
    id: 1,
    device: "02:00:00:00:00:01",
    state: "confirmed",
    queuedAt: 0,
    expiresAt: 9,
    sentAt: 1_000,
    endedAt: 1_150,
    attempts: 1,
    maybeTwice: false,
    bytes: 1,
    by: "test",
  };
  events.emit({ type: "outbound", message: record });
  events.emit({ type: "outbound", message: { ...record, state: "expired", sentAt: undefined } });
  await expect.poll(async () => (await scrape(testGateway))['usmp_sink_delivered_total{sink="log"}']).toBe(1);
  expect(await scrape(testGateway)).toMatchObject({
    'usmp_store_seconds_bucket{le="0.02"}': 0,
    'usmp_store_seconds_bucket{le="0.05"}': 1,
    usmp_store_seconds_sum: 0.04,
    'usmp_delivery_seconds_bucket{le="0.1"}': 0,
    'usmp_delivery_seconds_bucket{le="0.2"}': 1,
    usmp_delivery_seconds_count: 1,
    'usmp_outbound_total{state="confirmed"}': 1,
    'usmp_outbound_total{state="expired"}': 1,
    'usmp_sink_waiting{sink="log"}': 0,
    'usmp_sink_dropped_total{sink="log",reason="buffer-full"}': 0,
  });
});

test("what devices send is counted as it comes into the store, and weighed there", async () => {
  const testGateway = await TestGateway.open(newHome());
  const { id, psk } = await testGateway.add();
  const session = await testGateway.device(id, psk, "udp");
  await session.send("stored");
  await session.send("stored too");
  await expect.poll(async () => (await scrape(testGateway))["usmp_stored_messages_total"]).toBe(2);
  const numbers = await scrape(testGateway);
  expect(numbers).toMatchObject({
    usmp_store_waiting: 0,
    usmp_store_messages: 2,
    'usmp_store_dropped_total{cause="bytes"}': 0,
    'usmp_store_dropped_total{cause="unstored"}': 0,
  });
  expect(numbers["usmp_store_bytes"]).toBeGreaterThan("storedstored too".length);
});

test("docs/observability.md lists them all, and no other", async () => {
  const testGateway = await TestGateway.open(newHome());
  const text = await testGateway.gateway.metricsText();
  const names = [...text.matchAll(/^# TYPE (usmp_\w+) (\w+)$/gm)].map(([, name]) => name as string);
  const page = readFileSync(new URL("../../../../docs/observability.md", import.meta.url), "utf8");
  expect([...page.matchAll(/^\| `(usmp_\w+)` \|/gm)].map(([, name]) => name as string).sort()).toEqual(names.sort());
});

describe.skipIf(!hasPromtool())("promtool", () => {
  test("finds nothing wrong with the metrics of a gateway that has seen traffic", async () => {
    const testGateway = await TestGateway.open(newHome());
    const { psk, id } = await testGateway.add();
    const udp = await testGateway.device(id, psk, "udp");
    await exchange(testGateway, udp, 3);
    await testGateway.refused(id, bytesOf(psk).reverse(), "tcp");
    const text = await testGateway.gateway.metricsText();
    expectGoodMetrics(text);
    for (const name of ["nodejs_eventloop_lag_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
  });
});
