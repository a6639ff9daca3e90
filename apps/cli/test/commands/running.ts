import { once } from "node:events";
import { type AddressInfo, createServer, connect as openTcp } from "node:net";
import { connect, Secret, type Session } from "usmp";
import { afterEach } from "vitest";
import { run } from "../../src/program.ts";
import { type VirtualEnvironment, virtualEnvironment } from "../virtual-environment.ts";

export const TEST_KEY = "4f00c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
export const OTHER_TEST_KEY = "b845e1d81eeedd10d1abb64e63fec7deeb9649056d105cc0045dfb47825dd0d2";
export const DEVICE = "02:00:00:00:00:01";

export interface Running {
  readonly environment: VirtualEnvironment;
  readonly done: Promise<number>;
}

const running: Running[] = [];
afterEach(async () => {
  for (const { environment, done } of running.splice(0)) {
    environment.stop();
    await done;
  }
});

export function begin(words: string[], input?: string): Running {
  const environment = virtualEnvironment({}, input);
  const command = { environment, done: run(words, environment) };
  running.push(command);
  return command;
}

export interface Listening extends Running {
  readonly tcp: string;
  readonly udp: string;
}

/** `usmp serve` on free ports of both transports. */
export async function serve(...words: string[]): Promise<Listening> {
  const server = begin([
    "serve",
    "--psk",
    TEST_KEY,
    "--tcp",
    "127.0.0.1:0",
    "--udp",
    "127.0.0.1:0",
    "--json",
    ...words,
  ]);
  const port = async (transport: string): Promise<string> => {
    const line = await server.environment.stdout.line(
      (text) => text.includes('"listening"') && text.includes(`"${transport}"`),
    );
    const { host, port } = JSON.parse(line) as { host: string; port: number };
    return `${host}:${port}`;
  };
  return { ...server, tcp: await port("tcp"), udp: await port("udp") };
}

/** Runs a client command to its end. */
export async function client(
  words: string[],
  input = "",
  key = TEST_KEY,
): Promise<{ code: number; out: string; err: string; objects: Record<string, unknown>[] }> {
  const { environment, done } = begin([...words, "--psk", key], input);
  const code = await done;
  const { stdout, stderr } = environment;
  return { code, out: stdout.text, err: stderr.text, objects: words.includes("--json") ? stdout.objects : [] };
}

export async function library(address: string, transport: "tcp" | "udp"): Promise<Session> {
  const [host, port] = address.split(":") as [string, string];
  return connect({
    host,
    port: Number(port),
    transport,
    psk: new Secret(Buffer.from(TEST_KEY, "hex")),
    deviceId: DEVICE,
  });
}

export const event = (server: Running, name: string): Promise<Record<string, unknown>> =>
  server.environment.stdout
    .line((line) => line.includes(`"event":"${name}"`))
    .then((line) => JSON.parse(line) as Record<string, unknown>);

export async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

/** Resolves when something accepts there. */
export async function reachable(host: string, port: number): Promise<void> {
  for (;;) {
    const socket = openTcp(port, host);
    const accepted = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (accepted) return;
  }
}
