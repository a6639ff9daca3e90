import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { connectControl, findRunning } from "../../src/control/client.ts";
import { type ControlHandlers, ControlServer } from "../../src/control/server.ts";
import { controlPaths } from "../../src/control/socket-path.ts";
import { GatewayError } from "../../src/errors.ts";
import type { Actor } from "../../src/records.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "usmp-control-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const PROGRAM = { version: "1.2.3", dev: false };

async function serve(handlers: object, at = directory, program = PROGRAM): Promise<ControlServer> {
  const server = await ControlServer.open(at, program, handlers as ControlHandlers);
  onTestFinished(() => server.close());
  return server;
}

async function client(at = directory) {
  const control = await connectControl(at);
  onTestFinished(() => control.close());
  return control;
}

/** Sends raw bytes and answers all that comes back until the end. */
async function raw(...pieces: readonly string[]): Promise<string> {
  const socket: Socket = connect(controlPaths(directory).socket);
  socket.on("error", () => {});
  let answer = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
  });
  for (const piece of pieces) socket.write(piece);
  await new Promise((done) => socket.on("close", done));
  return answer;
}

const token = (): string => readFileSync(controlPaths(directory).token, "utf8").trim();

describe("who may speak", () => {
  test("socket and token are the owner's alone, and the token is new with each start", async () => {
    const first = await serve({});
    const { socket, token: tokenPath } = controlPaths(directory);
    expect([statSync(socket).mode & 0o777, statSync(tokenPath).mode & 0o777]).toEqual([0o600, 0o600]);
    const before = token();
    await first.close();
    expect([existsSync(socket), existsSync(tokenPath)]).toEqual([false, false]);
    await serve({});
    expect(token()).not.toBe(before);
    expect(token()).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ["no token", `{"hello":1}`],
    ["a wrong token", `{"hello":1,"token":"${"0".repeat(64)}"}`],
    ["a token that is no text", `{"hello":1,"token":{}}`],
    ["a request first", `{"id":1,"method":"gateway.status","params":{}}`],
    ["null", "null"],
  ])("%s gets an error and the end, and no method runs", async (_, line) => {
    let ran = false;
    await serve({ "gateway.status": async () => (ran = true) });
    const answer = JSON.parse(await raw(`${line}\n{"id":1,"method":"gateway.status","params":{}}\n`)) as {
      error: { code: string };
    };
    expect(answer.error.code).toBe("control");
    expect(ran).toBe(false);
  });

  test("what is no JSON, and a line that never ends, get an error and the end", async () => {
    await serve({});
    expect(await raw("GET / HTTP/1.1\n")).toContain("is not JSON");
    // Whoever still writes when it ends may not get to read why.
    expect(await raw("x".repeat(1_100_000))).toMatch(/^$|longer than 1048576 bytes/);
  });

  test("a method hears on whose behalf it is called", async () => {
    let heard: Actor | undefined;
    await serve({ "gateway.status": async (_: unknown, actor: Actor) => (heard = actor) });
    await (await client()).call("gateway.status", {});
    expect(heard).toEqual({ who: expect.stringMatching(/^uid \d+ \(.+\)$/), from: "control socket" });
  });
});

describe("finding a gateway", () => {
  test("says its process and version, and whether it is in development mode", async () => {
    expect(await findRunning(directory)).toBeUndefined();
    await serve({}, directory, { version: "1.2.3", dev: true });
    expect(await findRunning(directory)).toEqual({ version: "1.2.3", dev: true, pid: process.pid });
    expect((await client()).dev).toBe(true);
  });

  test("where none runs the command names the directory and the way out", async () => {
    await expect(connectControl(directory)).rejects.toThrow(
      new GatewayError(
        "not-running",
        `no gateway runs on ${directory}; start one with "usmp gateway", or give its directory with --data DIR`,
      ),
    );
  });

  test("a socket that a killed gateway left behind is no gateway, and is replaced", async () => {
    const { socket } = controlPaths(directory);
    const dead = createServer().listen(socket);
    await once(dead, "listening");
    // The name outlives a process that is killed; here it is put back after an orderly end.
    dead.close();
    await once(dead, "close");
    writeFileSync(socket, "");
    expect(await findRunning(directory)).toBeUndefined();
    await serve({});
    expect(await findRunning(directory)).toBeDefined();
  });

  test("a data directory whose path is too long for a socket has it elsewhere, in a directory of our own", async () => {
    const deep = join(directory, "d".repeat(120));
    mkdirSync(deep);
    const { socket, socketDirectory } = controlPaths(deep);
    expect(socket.length).toBeLessThan(100);
    await serve({ "gateway.status": async () => "here" }, deep);
    onTestFinished(() => rmSync(socketDirectory as string, { recursive: true }));
    expect(await (await client(deep)).call("gateway.status", {})).toBe("here");
    expect(statSync(socketDirectory as string).mode & 0o777).toBe(0o700);
    chmodSync(socketDirectory as string, 0o777);
    await expect(ControlServer.open(deep, PROGRAM, {})).rejects.toThrow("is not ours alone");
  });
});

describe("calls", () => {
  test("are answered each for itself, whichever is done first", async () => {
    const waiting: (() => void)[] = [];
    await serve({
      "device.show": async ({ id }: { id: string }) => {
        if (id === "slow") await new Promise<void>((done) => waiting.push(done));
        return id;
      },
    });
    const control = await client();
    const slow = control.call("device.show", { id: "slow" });
    expect(await control.call("device.show", { id: "fast" })).toBe("fast");
    for (const done of waiting) done();
    expect(await slow).toBe("slow");
  });

  test("carry the gateway's errors with their code, and others without their stack", async () => {
    await serve({
      "device.show": async () => {
        throw new GatewayError("unknown-device", "no device");
      },
      "gateway.status": async () => {
        throw new Error("disk on fire");
      },
    });
    const control = await client();
    await expect(control.call("device.show", { id: "x" })).rejects.toThrow(
      new GatewayError("unknown-device", "no device"),
    );
    await expect(control.call("gateway.status", {})).rejects.toMatchObject({
      code: "control",
      message: "the gateway failed: disk on fire",
    });
    await expect(control.call("audit.verify", {})).rejects.toThrow("does not know audit.verify");
    await expect(control.call("constructor" as "audit.verify", {})).rejects.toThrow("does not know constructor");
  });

  test("that wait when the gateway ends are rejected", async () => {
    const server = await serve({ "gateway.status": () => new Promise(() => {}) });
    const control = await client();
    const waiting = control.call("gateway.status", {});
    const rejected = expect(waiting).rejects.toMatchObject({ code: "control" });
    await server.close();
    await rejected;
    await expect(control.call("gateway.status", {})).rejects.toMatchObject({ code: "control" });
  });
});

describe("streams", () => {
  test("of 20,000 lines arrive in order, also when they are read slowly", async () => {
    await serve({
      why: async function* () {
        for (let number = 0; number < 20_000; number++) yield { number };
      },
    });
    let next = 0;
    for await (const item of (await client()).stream("why", {})) {
      if (next % 500 === 0) await new Promise((done) => setImmediate(done));
      expect((item as unknown as { number: number }).number).toBe(next++);
    }
    expect(next).toBe(20_000);
  });

  test("that are left early are ended at the gateway", async () => {
    let ended: () => void = () => {};
    const over = new Promise<void>((done) => {
      ended = done;
    });
    await serve({
      why: async function* () {
        try {
          for (;;) {
            yield {};
            await new Promise((done) => setImmediate(done));
          }
        } finally {
          ended();
        }
      },
    });
    const control = await client();
    for await (const _ of control.stream("why", {})) break;
    await over;
  });

  test("that fail give what came before, then the error", async () => {
    await serve({
      why: async function* () {
        yield { number: 1 };
        throw new GatewayError("stale", "gone");
      },
    });
    const items: unknown[] = [];
    const reading = (async () => {
      for await (const item of (await client()).stream("why", {})) items.push(item);
    })();
    await expect(reading).rejects.toThrow(new GatewayError("stale", "gone"));
    expect(items).toEqual([{ number: 1 }]);
  });
});
