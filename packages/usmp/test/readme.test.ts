import { readFileSync } from "node:fs";
import ts from "typescript";
import * as library from "usmp";
import { connect, type Server } from "usmp";
import { expect, onTestFinished, test } from "vitest";
import { LOOPBACK, TEST_PSK } from "./support/loopback.ts";

/** The ids and ports of the read-me's examples. */
const DEVICE = "7a:d3:e6:a9:9b:17";
const [deviceExample, linkExample, serverExample] = examples() as [string, string, string];

test("the read-me's device and its server talk to each other as they stand there", async () => {
  const { server, logged } = await runServer();
  const device: { log?: string } = {};
  await new Promise<void>((resolve) => {
    const console = {
      log(text: string): void {
        device.log = text;
        resolve();
      },
    };
    void run(deviceExample, { connect: atHome(server), psk: TEST_PSK, console });
  });
  expect(device.log).toBe("21.5 °C");
  const [session] = server.sessions;
  await session?.close();
  await expect.poll(() => logged).toEqual([[DEVICE, "left:", { code: "closed-locally" }]]);
});

test("the read-me's link sends a message and hears the answer", async () => {
  const { server } = await runServer();
  const links: library.Link[] = [];
  const linkAtHome = async (options: library.LinkOptions): Promise<library.Link> => {
    const link = await connect({ ...options, host: LOOPBACK, port: portOf(server) });
    links.push(link);
    return link;
  };
  const heard = await new Promise<string>((resolve) => {
    void run(linkExample, { connect: linkAtHome, psk: TEST_PSK, console: { log: resolve } });
  });
  expect(heard).toBe("21.5 °C");
  await links[0]?.close();
});

test("the read-me's server outlives a device that leaves without waiting for the answer", async () => {
  const { server, logged } = await runServer();
  for (let round = 0; round < 5; round++) {
    const session = await atHome(server)({ host: LOOPBACK, port: 9000, psk: TEST_PSK, deviceId: DEVICE });
    // Message and BYE leave in one write: the server hears both before it can answer.
    void session.send("and away");
    await session.close();
  }
  // An unhandled rejection, which would end the process, fails this file.
  await expect.poll(() => logged.length).toBe(5);
});

async function runServer(): Promise<{ server: Server; logged: unknown[][] }> {
  const logged: unknown[][] = [];
  const server = await new Promise<Server>((resolve) => {
    const listen = async (options: library.ListenOptions): Promise<Server> => {
      const listening = await library.listen({ ...options, tcp: `${LOOPBACK}:0`, udp: `${LOOPBACK}:0` });
      resolve(listening);
      return listening;
    };
    const console = { log: (...words: unknown[]) => void logged.push(words) };
    void run(serverExample, { listen, keys: new Map([[DEVICE, TEST_PSK]]), console });
  });
  onTestFinished(() => server.close());
  return { server, logged };
}

/** connect(), but to where the server of this test listens. */
function atHome(server: Server): (options: library.ConnectOptions) => Promise<library.Session> {
  return (options) => connect({ ...options, host: LOOPBACK, port: portOf(server) });
}

function portOf(server: Server): number {
  return (server.addresses[0] as { port: number }).port;
}

/** Runs an example with what it imports, and what it leaves to its reader, given by name. */
function run(example: string, given: Readonly<Record<string, unknown>>): Promise<void> {
  const body = example.replace(/^import .*$/gm, "");
  const { outputText } = ts.transpileModule(`async function example() {\n${body}\n}`, {
    compilerOptions: { target: ts.ScriptTarget.ES2023 },
  });
  return new Function(...Object.keys(given), `${outputText}\nreturn example();`)(...Object.values(given));
}

function examples(): string[] {
  const page = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  return [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string);
}
