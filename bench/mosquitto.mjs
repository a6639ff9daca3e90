/** Mosquitto as a measured server: it has no verbs of its own, so what can be asked of the others is answered for it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuMicroseconds, residentBytes } from "./process-figures.mjs";

const START_MS = 10_000;

export class Mosquitto {
  #program;
  #directory = mkdtempSync(join(tmpdir(), "usmp-bench-"));
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #process;

  /** @param {string} program */
  constructor(program) {
    this.#program = program;
  }

  /** @param {{ readonly do: string, readonly psk?: string }} request @returns {Promise<any>} */
  async ask(request) {
    // Everything else is asked of servers that the bench wrote: to collect garbage, to count.
    return request.do === "serve" ? { port: await this.#serve(request.psk ?? "") } : {};
  }

  get cpuMicroseconds() {
    return cpuMicroseconds(this.#process?.pid);
  }

  get residentBytes() {
    return residentBytes(this.#process?.pid);
  }

  async stop() {
    if (this.#process?.exitCode === null) {
      const gone = once(this.#process, "exit");
      this.#process.kill();
      await gone;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** @param {string} psk */
  async #serve(psk) {
    const port = await freePort();
    const config = join(this.#directory, "mosquitto.conf");
    const keys = join(this.#directory, "keys");
    writeFileSync(keys, `bench:${psk}\n`, { mode: 0o600 });
    const lines = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      `psk_file ${keys}`,
      "psk_hint bench",
      "tls_version tlsv1.2",
      "ciphers PSK-AES256-GCM-SHA384",
      "set_tcp_nodelay true",
      "max_connections -1",
      "log_dest none",
      ...(process.getuid?.() === 0 ? ["user root"] : []),
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    this.#process = spawn(this.#program, ["-c", config], { stdio: "ignore" });
    await answering(port);
    return port;
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

/** @param {number} port */
async function answering(port) {
  for (const end = performance.now() + START_MS; performance.now() < end; ) {
    const socket = createConnection({ host: "127.0.0.1", port });
    const connected = await Promise.race([
      once(socket, "connect").then(() => true),
      new Promise((resolve) => socket.on("error", () => resolve(false))),
    ]);
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("mosquitto does not listen");
}
