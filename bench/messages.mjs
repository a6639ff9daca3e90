/**
 * `npm run bench:messages [-- --seconds N] [--devices N]`: messages of 100 bytes a second over TCP, and the server's CPU for each: a bare listen()
 * that counts them, the gateway that stores them in SQLite, and the same in durable operation. The load has a process of its own; a message
 * counts once the server has told of it. Loopback and a temporary directory only.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    devices: { type: "string", default: "20" },
    role: { type: "string" },
    mode: { type: "string", default: "bare" },
    target: { type: "string", default: "" },
  },
});
const SELF = fileURLToPath(import.meta.url);
const idOf = (/** @type {number} */ index) => `02:00:00:00:01:${index.toString(16).padStart(2, "0")}`;
const devices = Number(values.devices);

if (values.role === "server") await serve(values.mode);
else if (values.role === "load") await load(JSON.parse(values.target));
else for (const mode of ["bare", "stored", "durable"]) await measure(mode);

/** @param {string} mode */
async function measure(mode) {
  const server = fork(SELF, ["--role", "server", "--mode", mode, "--devices", values.devices]);
  const [target] = await once(server, "message");
  const sender = fork(SELF, ["--role", "load", "--target", JSON.stringify(target), "--devices", values.devices]);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const look = async () => {
    server.send("look");
    return (await once(server, "message"))[0];
  };
  const before = await look();
  await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1_000));
  const after = await look();
  sender.kill("SIGKILL");
  server.kill("SIGTERM");
  await once(server, "exit");
  const messages = after.messages - before.messages;
  const rate = Math.round((messages * 1_000) / (after.at - before.at));
  const cpu = ((after.cpu - before.cpu) / messages).toFixed(1);
  console.log(`${mode.padEnd(8)} ${rate} messages a second, ${cpu} us of CPU each`);
}

/** @param {string} mode */
async function serve(mode) {
  let messages = 0;
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ messages, cpu: user + system, at: performance.now() });
  });
  if (mode === "bare") {
    const { listen } = await import("usmp");
    const psk = Buffer.from("not-secret key of a benchmark 32".padEnd(32));
    const server = await listen({
      tcp: "127.0.0.1:0",
      psk,
      onSession: async (session) => {
        for await (const _ of session) messages++;
      },
    });
    process.once("SIGTERM", () => process.exit(0));
    const keys = Array.from({ length: devices }, () => psk.toString("hex"));
    process.send?.({ port: server.addresses[0]?.port, keys });
    return;
  }
  const { openGateway } = await import("@usmp/gateway");
  const directory = mkdtempSync(join(tmpdir(), "usmp-bench-"));
  const gateway = await openGateway({
    dataDirectory: directory,
    database: undefined,
    master: { kind: "file", path: join(directory, "master") },
    surroundings: { variables: {}, askPassphrase: undefined },
    tcp: "127.0.0.1:0",
    udp: undefined,
    development: false,
    estimateTextBits: () => 256,
    version: "bench",
    messages: { durable: mode === "durable" },
  });
  gateway.events.on(({ type }) => {
    if (type === "message") messages++;
  });
  const keys = [];
  for (let index = 0; index < devices; index++) {
    const request = { id: idOf(index), name: undefined, tags: [] };
    const { key } = await gateway.registry.add(request, { who: "bench", from: "bench" });
    keys.push(Buffer.from(key.expose()).toString("hex"));
  }
  process.once("SIGTERM", async () => {
    for (const session of gateway.server.sessions) session.abort();
    await gateway.close();
    rmSync(directory, { recursive: true, force: true });
    process.exit(0);
  });
  process.send?.({ port: gateway.server.addresses[0]?.port, keys });
}

/** @param {{ port: number, keys: string[] }} target */
async function load({ port, keys }) {
  const { connect } = await import("usmp");
  const message = Buffer.alloc(100, 0x61);
  await Promise.all(
    keys.map(async (key, index) => {
      const psk = Buffer.from(key, "hex");
      const session = await connect({ host: "127.0.0.1", port, deviceId: idOf(index), psk });
      for (;;) await session.send(message);
    }),
  );
}
