import { once } from "node:events";
import { connect as openTcp } from "node:net";
import { describe, expect, test } from "vitest";
import { begin, client, event, freeAddress, library, reachable, serve, TEST_KEY } from "./running.ts";

describe("serve", () => {
  test("--tcp alone opens no UDP, and --udp alone no TCP", async () => {
    for (const transport of ["tcp", "udp"]) {
      const { environment, done } = begin(["serve", "--psk", TEST_KEY, `--${transport}`, "127.0.0.1:0", "--json"]);
      await environment.stdout.line((line) => line.includes('"listening"'));
      environment.stop();
      expect(await done).toBe(0);
      const listening = environment.stdout.objects.filter((object) => object["event"] === "listening");
      expect(listening).toEqual([expect.objectContaining({ transport, host: "127.0.0.1" })]);
    }
  });

  test("a taken port is exit code 1, naming the address and the option", async () => {
    const server = await serve();
    for (const transport of ["tcp", "udp"] as const) {
      const { code, out, err } = await client(["serve", `--${transport}`, server[transport]]);
      expect(code).toBe(1);
      expect(out).not.toContain("listening");
      expect(err).toMatch(
        new RegExp(
          `^usmp: cannot-listen: .*${server[transport].split(":")[1]}.*127\\.0\\.0\\.1.*--${transport} HOST:PORT`,
        ),
      );
    }
  });

  test("--quiet prints nothing, whatever happens", async () => {
    const [host, port] = (await freeAddress()).split(":") as [string, string];
    const quiet = begin(["serve", "--psk", TEST_KEY, "--tcp", `${host}:${port}`, "--quiet", "--echo"]);
    await reachable(host, Number(port));
    expect(await client(["send", `${host}:${port}`, "hello", "--wait", "1"])).toMatchObject({
      code: 0,
      out: "hello\n",
    });
    quiet.environment.stop();
    expect(await quiet.done).toBe(0);
    expect(quiet.environment.stdout.text + quiet.environment.stderr.text).toBe("");
  });

  test("a reader of the output that stalls holds the device back", async () => {
    const server = await serve();
    server.environment.stdout.stall();
    const session = await library(server.tcp, "tcp");
    const message = "x".repeat(1800);
    let sent = 0;
    // Unread messages fill the receive buffer, then the sockets: from there on send() waits.
    const total = 20_000;
    const sending = (async () => {
      for (; sent < total && session.open; sent++) await session.send(message);
    })();
    let before = -1;
    while (before !== sent) {
      before = sent;
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    }
    expect(sent).toBeGreaterThan(100);
    expect(sent).toBeLessThan(total);
    expect(server.environment.stdout.writableLength).toBeLessThan(100_000);
    session.abort();
    await sending.catch(() => undefined);
  });

  test("refusals are counted, not kept, while nobody takes the output, and the next one that is printed has the count", async () => {
    const server = await serve();
    const { stdout } = server.environment;
    stdout.stall();
    const session = await library(server.tcp, "tcp");
    while (!stdout.writableNeedDrain) {
      await session.send("y".repeat(1800));
      await new Promise(setImmediate);
    }
    for (let attempt = 0; attempt < 20; attempt++) await beRefused(server.tcp);
    expect(stdout.text).not.toContain('"refused"');
    expect(stdout.writableLength).toBeLessThan(50_000);

    session.abort();
    stdout.resume();
    await stdout.line((line) => line.includes('"closed"'));
    await beRefused(server.tcp);
    expect(await event(server, "refused")).toMatchObject({ cause: "protocol-violation", omitted: 20 });
  });
});

/** Sends what is no frame, until the server has ended the connection. */
async function beRefused(address: string): Promise<void> {
  const [host, port] = address.split(":") as [string, string];
  const socket = openTcp(Number(port), host);
  await once(socket, "connect");
  socket.end(Buffer.alloc(20));
  await once(socket.resume(), "close");
}
