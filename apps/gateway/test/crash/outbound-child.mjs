/**
 * A gateway that is sent messages for its devices without an end, and says on standard output, line by line and at once, what it promised: for
 * tests that kill it. node outbound-child.mjs DIR DATABASE|- DEVICES-AS-JSON FIRST-NUMBERS-AS-JSON
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { connectControl, openGateway } from "@usmp/gateway";

const [, , directory, database, devicesJson, firstJson] = process.argv;
/** @type {readonly { id: string, psk: string }[]} */
const devices = JSON.parse(devicesJson);
/** @type {Record<string, number>} */
const next = JSON.parse(firstJson);

/** @param {object} line */
function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

let gateway;
for (let tries = 0; gateway === undefined; tries++) {
  try {
    gateway = await openGateway({
      dataDirectory: directory,
      database: database === "-" ? undefined : database,
      master: { kind: "file", path: join(directory, "master") },
      surroundings: { variables: {}, askPassphrase: undefined },
      tcp: "127.0.0.1:0",
      udp: "127.0.0.1:0",
      development: false,
      estimateTextBits: () => 256,
      version: "test",
      messages: { drainPerSecond: 400 },
    });
  } catch (error) {
    // PostgreSQL notices that the process before was killed, and lets go of its lock, a moment later.
    if (error.code === "already-running" && tries < 200) await new Promise((resolve) => setTimeout(resolve, 50));
    else {
      say({ failed: "open", code: error.code ?? "none", message: error.message });
      process.exit(3);
    }
  }
}
const control = await connectControl(directory);
for (const { id, psk } of devices) {
  if (gateway.registry.device(id) === undefined)
    await control.call("device.add", { devices: [{ id, key: psk.slice("hex:".length), allowWeak: true }] });
}
const [tcp, udp] = ["tcp", "udp"].map(
  (name) => gateway.server.addresses.find(({ transport }) => transport === name).port,
);
say({ opened: { tcp, udp } });

/** One after the other for each device, so that their order is known. @param {string} id */
async function load(id) {
  for (;;) {
    const text = `${id} ${next[id]++}`;
    try {
      const { message } = await control.call("message.send", { id, data: Buffer.from(text).toString("base64") });
      say({ queued: text, message });
    } catch (error) {
      if (error.code !== "queue-full") say({ failed: text, code: error.code ?? "none", message: error.message });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (next[id] % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
await Promise.all(devices.map(({ id }) => load(id)));
