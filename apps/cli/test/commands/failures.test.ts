import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { begin, client, event, freeAddress, serve, TEST_KEY } from "./running.ts";

describe("failures of clients, each with its word and exit code 1", () => {
  test("nothing listens: unreachable", async () => {
    const address = await freeAddress();
    expect(await client(["send", address, "x"])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringMatching(/^usmp: unreachable: .*127\.0\.0\.1/m) as string,
    });
  });

  test("nobody answers on UDP: handshake-timeout", async () => {
    const address = await freeAddress();
    const { code, err } = await client(["send", address, "x", "--udp", "--timeout", "1"]);
    expect(code).toBe(1);
    expect(err).toMatch(/^usmp: handshake-timeout: .*check host, port and transport$/m);
  });

  test("fewer replies than asked for: no-reply, and those that came are printed", async () => {
    const server = await serve("--echo");
    const { code, out, err } = await client(["send", server.tcp, "only one", "--wait", "2", "--timeout", "2"]);
    expect({ code, out }).toEqual({ code: 1, out: "only one\n" });
    expect(err).toMatch(/^usmp: no-reply: 1 of 2 replies came within 2 s$/m);
  });

  test("a message of 1,809 bytes: exit code 2, and nothing is sent", async () => {
    const server = await serve();
    const { code, err } = await client(["send", server.tcp, "x".repeat(1809)]);
    expect(code).toBe(2);
    expect(err).toContain("1809");
    await event(server, "closed");
    expect(server.environment.stdout.text).not.toContain('"message"');
  });

  test("lines that cannot be done are told and skipped, and the exit code is 1", async () => {
    const server = await serve();
    const { code, err } = await client(["connect", server.tcp], `first\n/nonsense\n${"x".repeat(1809)}\nlast\n`);
    expect(code).toBe(1);
    expect(err).toMatch(/^usmp: unknown-command: \/nonsense: .*\/\/nonsense$/m);
    expect(err).toMatch(/^usmp: message-too-long: /m);
    await event(server, "closed");
    const messages = server.environment.stdout.objects.filter((object) => object["event"] === "message");
    expect(messages.map((object) => object["text"])).toEqual(["first", "last"]);
  });

  test("errors under --json are objects on standard error", async () => {
    const { err, code } = await client(["send", await freeAddress(), "x", "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(err)).toEqual({
      time: "2026-01-02T03:04:05.678Z",
      event: "error",
      code: "unreachable",
      message: expect.stringContaining("127.0.0.1") as string,
    });
  });

  test("stopping a client that waits for an answer: interrupted", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { environment, done } = begin([
      "send",
      `127.0.0.1:${(silent.address() as AddressInfo).port}`,
      "x",
      "--psk",
      TEST_KEY,
    ]);
    const [socket] = (await once(silent, "connection")) as [Socket];
    environment.stop();
    expect(await done).toBe(1);
    expect(environment.stderr.text).toContain("usmp: interrupted: ");
    socket.destroy();
    silent.close();
  });
});
