import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { ControlClient } from "../../src/control/client.ts";
import { connectRemote } from "../../src/control/remote-client.ts";

const MIB = 1_048_576;

/** A client of what answers like a gateway when it is greeted, and then without an end. */
async function clientOf(endless: (response: ServerResponse) => void): Promise<ControlClient> {
  let greeted = false;
  const server = createServer((_, response) => {
    response.on("error", () => {});
    if (greeted) return endless(response);
    greeted = true;
    response.end('{"dev":false,"version":"1.2.3"}');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const folder = await mkdtemp(join(tmpdir(), "usmp-remote-"));
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, `usmp_0123456789ab_${"A".repeat(43)}\n`, { mode: 0o600 });
  const client = await connectRemote({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokenFile });
  onTestFinished(async () => {
    client.close();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  return client;
}

/** Never ends the answer: only a limit ends the wait. */
function pour(response: ServerResponse): void {
  for (let index = 0; index < 9; index++) response.write("x".repeat(MIB / 8));
}

const TOO_LONG = { code: "remote", message: expect.stringContaining(`more than ${MIB} bytes`) };

test("an answer without an end is given up", async () => {
  const client = await clientOf(pour);
  await expect(client.call("gateway.status", {})).rejects.toMatchObject(TOO_LONG);
});

test("so is a stream's line; many short ones are not", async () => {
  const client = await clientOf((response) => {
    for (let index = 0; index < 20; index++) response.write(`{"item":"${"x".repeat(MIB / 8)}"}\n`);
    pour(response);
  });
  let items = 0;
  const all = async (): Promise<void> => {
    for await (const _ of client.stream("device.list", {})) items++;
  };
  await expect(all()).rejects.toMatchObject(TOO_LONG);
  expect(items).toBe(20);
});
