/**
 * A gateway in durable operation, for tests that kill it: node gateway-child.mjs DIR DATABASE|-. Prints its ports as a line of JSON.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { openGateway } from "@usmp/gateway";

const [, , directory = "", database] = process.argv;

for (let tries = 0; ; tries++) {
  try {
    const { server } = await openGateway({
      dataDirectory: directory,
      database: database === "-" ? undefined : database,
      master: { kind: "file", path: join(directory, "master") },
      surroundings: { variables: {}, askPassphrase: undefined },
      tcp: "127.0.0.1:0",
      udp: "127.0.0.1:0",
      development: false,
      estimateTextBits: (text) => text.length * 3,
      version: "test",
      messages: { durable: true },
    });
    const ports = Object.fromEntries(server.addresses.map(({ transport, port }) => [transport, port]));
    writeSync(1, `${JSON.stringify(ports)}\n`);
    break;
  } catch (error) {
    // PostgreSQL notices that the process before was killed, and lets go of its lock, a moment later.
    if (error.code !== "already-running" || tries === 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
