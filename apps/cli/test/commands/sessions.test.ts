import { describe, expect, test } from "vitest";
import { begin, client, DEVICE, event, library, OTHER_TEST_KEY, serve, TEST_KEY } from "./running.ts";

describe.each(["tcp", "udp"] as const)("over %s", (transport) => {
  const flag = `--${transport}`;

  test("serve tells each session, message and end, and send tells what it did", async () => {
    const server = await serve();
    const { code, objects } = await client([
      "send",
      server[transport],
      "21.5 °C",
      "second",
      flag,
      "--device-id",
      DEVICE,
      "--json",
    ]);
    expect(code).toBe(0);
    const closed = await event(server, "closed");
    const session = closed["session"];
    expect(session).toMatch(/^[0-9a-f]{32}$/);
    const identity = { time: "2026-01-02T03:04:05.678Z", device: DEVICE, session };
    expect(server.environment.stdout.objects.slice(3)).toEqual([
      { ...identity, event: "session", peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string, transport },
      { ...identity, event: "message", data: Buffer.from("21.5 °C").toString("base64"), text: "21.5 °C" },
      { ...identity, event: "message", data: Buffer.from("second").toString("base64"), text: "second" },
      { ...identity, event: "closed", reason: "closed-by-peer", description: "the peer said BYE" },
    ]);
    expect(objects.map((object) => object["event"])).toEqual([
      "key",
      "connecting",
      "session",
      "sent",
      "sent",
      "closed",
    ]);
    expect(objects[2]).toMatchObject({ session, device: DEVICE, peer: server[transport] });
  });

  test("send --wait prints the replies on standard output, one a line, and nothing else there", async () => {
    const server = await serve("--echo");
    expect(await client(["send", server[transport], "one", "t\nwo", "\u001b[2J", flag, "--wait", "3"])).toMatchObject({
      code: 0,
      out: "one\nt\\nwo\nhex:1b5b324a\n",
    });
  });

  test("connect sends each line of a pipe as a message, and leaves with BYE after the last acknowledgement", async () => {
    const server = await serve();
    const { code, out } = await client(["connect", server[transport], flag], "one\n\n//three\nlast");
    expect({ code, out }).toEqual({ code: 0, out: "" });
    await event(server, "closed");
    const messages = server.environment.stdout.objects.filter((object) => object["event"] === "message");
    expect(messages.map((object) => object["text"])).toEqual(["one", "", "/three", "last"]);
  });

  test("connect runs /ping, /stats and /rekey from a pipe, and what comes goes to standard output alone", async () => {
    const server = await serve("--echo");
    const { code, out, err } = await client(
      ["connect", server[transport], flag],
      "before\n/ping\n/rekey\nafter\n/ping\n/stats\n/help\n",
    );
    expect(code).toBe(0);
    expect(out.split("\n").slice(0, 1)).toEqual(["before"]);
    expect(err).toMatch(/^pong .* ms$/m);
    expect(err).toMatch(/^rekeyed .* epoch 1$/m);
    expect(err).toMatch(/^stats .* sent 2 messages, .*; epoch 1; round trip [\d.]+ ms; dropped none$/m);
    expect(err).toContain("/bye    end the session");
    await event(server, "closed");
    const messages = server.environment.stdout.objects.filter((object) => object["event"] === "message");
    expect(messages.map((object) => object["text"])).toEqual(["before", "after"]);
  });

  test("connect --echo sends back what comes, and stays until BYE though standard input has ended", async () => {
    const device = await serve("--echo");
    const { environment, done } = begin(
      ["connect", device[transport], flag, "--echo", "--json", "--psk", TEST_KEY],
      "ball\n",
    );
    // Both sides echo: the ball goes to and fro until somebody leaves.
    await environment.stdout.line(() => environment.stdout.text.split('"ball"').length > 5);
    device.environment.stop();
    expect(await done).toBe(0);
    expect(environment.stdout.objects.at(-1)).toMatchObject({ event: "closed", reason: "closed-by-peer" });
  });

  test("a wrong key is refused on both sides, each in its words", async () => {
    const server = await serve();
    const { code, err } = await client(
      ["send", server[transport], "x", flag, "--timeout", "2", "--device-id", DEVICE],
      "",
      OTHER_TEST_KEY,
    );
    expect(code).toBe(1);
    expect(err).toMatch(
      /^usmp: (refused-by-server|handshake-timeout): .*the key is wrong, or the device id is not known there$/m,
    );
    expect(await event(server, "refused")).toMatchObject({ device: DEVICE, transport, cause: "wrong-key" });
  });

  test("stopping serve says BYE to its sessions and tells their end", async () => {
    const server = await serve();
    const session = await library(server[transport], transport);
    await session.send("hello");
    await event(server, "message");
    server.environment.stop();
    expect(await server.done).toBe(0);
    expect(await session.closed).toEqual({ code: "closed-by-peer" });
    expect(server.environment.stdout.objects.at(-1)).toMatchObject({
      event: "closed",
      reason: "closed-locally",
      device: DEVICE,
    });
  });
});
