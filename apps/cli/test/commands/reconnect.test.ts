import { describe, expect, test } from "vitest";
import { begin, client, event, freeAddress, serve, TEST_KEY } from "./running.ts";

const FAR_FROM_BUSY = 30_000;

describe("connect --reconnect", () => {
  test.each(["--tcp", "--udp"])("%s sends what a pipe gives it, tells each fate, and says BYE", async (transport) => {
    const server = await serve("--echo");
    const address = transport === "--udp" ? server.udp : server.tcp;
    const { code, objects } = await client(["connect", address, transport, "--reconnect", "--json"], "one\ntwo\n");
    const names = objects.map((object) => (object["event"] === "link" ? object["state"] : object["event"]));
    expect(names.filter((name) => name !== "message")).toEqual([
      "key",
      "connecting",
      "connecting",
      "connected",
      "session",
      "sent",
      "sent",
      "closed",
      "closed",
    ]);
    expect(objects.filter((object) => object["event"] === "message").map(({ text }) => text)).toEqual(["one", "two"]);
    expect(objects.at(-1)).toMatchObject({ event: "link", state: "closed", cause: "closed-locally" });
    expect(code).toBe(0);
    expect(await event(server, "closed")).toMatchObject({ reason: "closed-by-peer" });
  });

  test("outlives its server: what is typed meanwhile reaches the next one", { timeout: FAR_FROM_BUSY }, async () => {
    const first = await serve();
    const link = begin(["connect", first.tcp, "--reconnect", "--json", "--psk", TEST_KEY]);
    const { stdin, stdout } = link.environment;
    await stdout.line((line) => line.includes('"connected"'));
    first.environment.stop();
    await first.done;
    const waiting = await stdout.line((line) => line.includes('"waiting"'));
    expect(JSON.parse(waiting)).toMatchObject({ event: "link", state: "waiting", cause: "session-closed" });
    stdin.write("typed meanwhile\n");
    const second = begin(["serve", "--psk", TEST_KEY, "--tcp", first.tcp, "--json"]);
    await second.environment.stdout.line((line) => line.includes('"listening"'));
    expect(await event(second, "message")).toMatchObject({ text: "typed meanwhile" });
    await stdout.line((line) => line.includes('"sent"'));
    stdin.end("/ping\n/reconnect\n/stats\n/rekey\n/bye\n");
    expect(await link.done).toBe(0);
    for (const name of ["pong", "stats", "rekeyed"]) expect(stdout.text).toContain(`"event":"${name}"`);
  });

  test("waits for a server that is not there, and says what was lost when it is told to stop", async () => {
    const link = begin(["connect", await freeAddress(), "--reconnect", "--psk", TEST_KEY]);
    const { stdin, stdout, stderr } = link.environment;
    stdin.write("/ping\n/nonsense\nlost\n");
    await stderr.line((line) => /waiting, next try in \d\.\d s \(unreachable: /.test(line));
    await stderr.line((line) => line.includes("unknown-command"));
    link.environment.stop();
    expect(await link.done).toBe(1);
    expect(stderr.text).toContain("session-closed: there is no session at the moment; /reconnect tries now");
    expect(stderr.text).toMatch(/undelivered .* 4 bytes dropped: link-closed/);
    expect(stderr.text).toMatch(/link .* closed \(closed-locally: closed by this side\)/);
    expect(stdout.text).toBe("");
  });

  test("without it /reconnect is no command", async () => {
    const server = await serve();
    const { code, err } = await client(["connect", server.tcp], "/reconnect\n");
    expect(code).toBe(1);
    expect(err).toContain("unknown-command: /reconnect: this session ends with its connection; start with --reconnect");
  });
});
