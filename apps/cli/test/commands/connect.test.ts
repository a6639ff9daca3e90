import { describe, expect, test } from "vitest";
import { begin, client, event, freeAddress, serve, TEST_KEY } from "./running.ts";

describe("connect", () => {
  test("/bye from a pipe ends the session, and what follows is not sent", async () => {
    const server = await serve();
    expect(await client(["connect", server.tcp], "one\n/bye\ntwo\n")).toMatchObject({ code: 0 });
    await event(server, "closed");
    expect(server.environment.stdout.text).not.toContain('"two"');
  });

  test("--raw sends commands as messages", async () => {
    const server = await serve();
    expect(await client(["connect", server.tcp, "--raw"], "/ping\n//x\n")).toMatchObject({ code: 0 });
    await event(server, "closed");
    const messages = server.environment.stdout.objects.filter((object) => object["event"] === "message");
    expect(messages.map((object) => object["text"])).toEqual(["/ping", "//x"]);
  });

  test("a random device id is printed before the connection is tried, and is no maker's address", async () => {
    const ids = new Set<string>();
    for (let attempt = 0; attempt < 3; attempt++) {
      const { err } = await client(["connect", await freeAddress()]);
      const id = /^connecting .* as ([0-9a-f:]{17}) \(random\)$/m.exec(err)?.[1] as string;
      expect(Number.parseInt(id.slice(0, 2), 16) & 3).toBe(2);
      ids.add(id);
    }
    expect(ids.size).toBe(3);
  });

  test("--psk - takes the first line, and the rest are messages", async () => {
    const server = await serve();
    const { environment, done } = begin(["connect", server.tcp, "--psk", "-"], `${TEST_KEY}\nmessage\n`);
    expect(await done, environment.stderr.text).toBe(0);
    expect(await event(server, "message")).toMatchObject({ text: "message" });
    expect(environment.stderr.text).toContain("(standard input)");
  });

  test("the server's end is told with its reason and is no failure", async () => {
    const server = await serve();
    const { environment, done } = begin(["connect", server.tcp, "--psk", TEST_KEY]);
    await environment.stderr.line((line) => line.startsWith("session"));
    server.environment.stop();
    expect(await done).toBe(0);
    expect(environment.stderr.lines.at(-1)).toMatch(/^closed .* closed-by-peer: the peer said BYE$/);
  });

  test("being stopped says BYE", async () => {
    const server = await serve();
    const { environment, done } = begin(["connect", server.tcp, "--psk", TEST_KEY]);
    await environment.stderr.line((line) => line.startsWith("session"));
    environment.stop();
    expect(await done).toBe(0);
    expect(await event(server, "closed")).toMatchObject({ reason: "closed-by-peer" });
  });
});
