/**
 * `npm run bench:queue [-- --messages N] [--devices N] [--connect N] [--database URL]`: fills the queue of a gateway process with so many messages
 * for devices that are offline, through its control socket; starts it anew and prints what that costs in time and memory, and what it does when
 * nothing happens; then connects some of the devices and prints how fast their queues drain, each message confirmed by its device.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connectControl, openGateway } from "@usmp/gateway";
import { Secret } from "@usmp/protocol";
import { connect } from "usmp";

const HOST = "127.0.0.1";
/** Requests that wait for their answer on the control socket. */
const UNDER_WAY = 500;
const IDLE_S = 10;
const MIB = 1_048_576;

const [role = "bench", ...words] = process.argv.slice(2);
if (role === "gateway") await serve(...words);
else await bench();

/** The gateway's process: says what it costs whenever it is asked. */
async function serve(directory = "", database = "") {
  const began = performance.now();
  const gateway = await openGateway({
    dataDirectory: directory,
    database: database === "" ? undefined : database,
    master: { kind: "file", path: join(directory, "master") },
    surroundings: { variables: {}, askPassphrase: undefined },
    tcp: `${HOST}:0`,
    udp: `${HOST}:0`,
    development: false,
    estimateTextBits: () => 0,
    version: "bench",
    messages: { drainPerSecond: 5_000, queuePerDevice: 1_000_000, queueBytesPerDevice: 1_000 * MIB },
  });
  const port = gateway.server.addresses.find(({ transport }) => transport === "tcp")?.port;
  process.send?.({ port, openedMs: performance.now() - began, ...costs() });
  process.on("message", (wish) => {
    if (wish === "costs") process.send?.(costs());
    else void gateway.close().then(() => process.exit(0));
  });
}

function costs() {
  const { user, system } = process.cpuUsage();
  return { rssMiB: process.memoryUsage().rss / MIB, cpuMs: (user + system) / 1_000 };
}

async function bench() {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "1000000" },
      devices: { type: "string", default: "10000" },
      connect: { type: "string", default: "100" },
      database: { type: "string", default: "" },
    },
  });
  const [messages, deviceCount, connected] = [values.messages, values.devices, values.connect].map(Number);
  const directory = mkdtempSync(join(tmpdir(), "usmp-bench-queue-"));
  try {
    const first = await start(directory, values.database);
    const devices = await enrol(directory, deviceCount);
    const empty = await first.ask("costs");
    await fill(directory, devices, messages);
    await stop(first.child);

    const second = await start(directory, values.database);
    const { openedMs, rssMiB } = second.opened;
    console.log(
      `start with ${messages} queued messages for ${deviceCount} devices: ${Math.round(openedMs)} ms, ${Math.round(rssMiB)} MiB ` +
        `(with none, the same devices enrolled: ${Math.round(empty.rssMiB)} MiB)`,
    );
    const before = await second.ask("costs");
    await delay(IDLE_S * 1_000);
    const after = await second.ask("costs");
    console.log(`idle: ${((after.cpuMs - before.cpuMs) / (IDLE_S * 10)).toFixed(2)} % of a CPU over ${IDLE_S} s`);
    await drain(second, devices.slice(0, connected), Math.floor(messages / deviceCount));
    await stop(second.child);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {string} directory @param {string} database */
async function start(directory, database) {
  const child = fork(fileURLToPath(import.meta.url), ["gateway", directory, database]);
  const [opened] = await once(child, "message");
  const ask = async (wish) => {
    child.send(wish);
    return (await once(child, "message"))[0];
  };
  return { child, opened, ask };
}

async function stop(child) {
  child.send("stop");
  await once(child, "exit");
}

async function enrol(directory, count) {
  const control = await connectControl(directory);
  const devices = [];
  for (let done = 0; done < count; done += 1_000) {
    const some = Array.from({ length: Math.min(1_000, count - done) }, () => ({}));
    devices.push(...(await control.call("device.add", { devices: some })).devices);
  }
  control.close();
  return devices;
}

async function fill(directory, devices, messages) {
  const control = await connectControl(directory);
  const data = Buffer.alloc(20, "x").toString("base64");
  const began = performance.now();
  let next = 0;
  const send = async () => {
    while (next < messages) {
      const { id } = devices[next++ % devices.length];
      await control.call("message.send", { id, data });
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, send));
  const seconds = (performance.now() - began) / 1_000;
  console.log(
    `queued ${messages} messages of 20 bytes, durable, in ${seconds.toFixed(1)} s: ${Math.round(messages / seconds)} a second`,
  );
  control.close();
}

async function drain(gateway, devices, each) {
  const { port } = gateway.opened;
  const cpuBefore = (await gateway.ask("costs")).cpuMs;
  const began = performance.now();
  const sessions = await Promise.all(
    devices.map(({ id, psk }) => connect({ host: HOST, port, deviceId: id, psk: new Secret(Buffer.from(psk, "hex")) })),
  );
  await Promise.all(
    sessions.map(async (session) => {
      for (let count = 0; count < each; count++) await session.receive();
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  const { rssMiB, cpuMs } = await gateway.ask("costs");
  const total = each * devices.length;
  console.log(
    `drained ${total} messages to ${devices.length} devices in ${seconds.toFixed(1)} s: ${Math.round(total / seconds)} a second, ` +
      `${((cpuMs - cpuBefore) / total).toFixed(3)} ms of CPU a message, ${Math.round(rssMiB)} MiB`,
  );
  for (const session of sessions) session.abort();
}
