import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, Secret, type Session } from "usmp";
import { describe, expect, test } from "vitest";
import { BIN, Child, finished, server, TEST_KEY, usmp } from "./process.ts";

const DEVELOPMENT_KEY = "usmp-dev-psk-change-me-before-prod";

function openSession(address: string, transport: "tcp" | "udp" = "tcp"): Promise<Session> {
  const [host, port] = address.split(":") as [string, string];
  return connect({ host, port: Number(port), transport, psk: new Secret(Buffer.from(TEST_KEY, "hex")) });
}

describe("exit codes", () => {
  test("0: --version and --help on standard output", async () => {
    expect(await finished(["--version"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
      err: "",
    });
    expect(await finished(["serve", "--help"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("Examples:") as string,
      err: "",
    });
  });

  test("1: a server that is not there", async () => {
    // Port 9 (discard, RFC 863) is below the ports that tests are given.
    expect(await finished(["send", "127.0.0.1:9", "x", "--psk", TEST_KEY])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("unreachable") as string,
    });
  });

  test("2: no command, an unknown option, and the development key", async () => {
    for (const words of [[], ["keygen", "--nonsense"], ["serve", "--psk", DEVELOPMENT_KEY]]) {
      expect(await finished(words)).toMatchObject({ code: 2, out: "" });
    }
  });

  test("0: an echo from client to server and back, over both transports", async () => {
    const { tcp, udp } = await server(["--echo"]);
    for (const words of [[tcp], [udp, "--udp"]]) {
      expect(await finished(["send", ...words, "hello", "--wait", "1", "--psk", TEST_KEY])).toMatchObject({
        code: 0,
        out: "hello\n",
      });
    }
  });
});

describe.runIf(process.platform === "linux")("the process list", () => {
  test("a key in the arguments is in it no more once the program runs, and is not in the environment", async () => {
    const { child } = await server();
    const { pid } = child.process;
    expect(await readFile(`/proc/${pid}/cmdline`, "latin1")).toMatch(/^usmp serve\0*$/);
    expect(await readFile(`/proc/${pid}/environ`, "latin1")).not.toContain(TEST_KEY);
  });

  test("neither is a text key, nor one behind an equals sign", async () => {
    const { tcp } = await server();
    const key = "text-key-of-this-test-with-serve-in-it";
    for (const words of [
      ["connect", tcp, "--psk", key],
      ["serve", "--tcp", "127.0.0.1:0", `--psk=${key}`],
    ]) {
      const child = usmp([...words, "--allow-weak"]);
      await Promise.race([
        child.stdout.line((line) => line.startsWith("key")),
        child.stderr.line((line) => line.startsWith("key")),
      ]);
      expect(await readFile(`/proc/${child.process.pid}/cmdline`, "latin1")).toMatch(/^usmp (connect|serve)\0*$/);
    }
  });
});

describe("ending", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s to serve says BYE to TCP and UDP sessions within a second, with exit code 0",
    async (signal) => {
      const { child, tcp, udp } = await server();
      const sessions = await Promise.all([openSession(tcp), openSession(udp, "udp")]);
      await Promise.all(sessions.map((session) => session.send("hello")));
      const began = performance.now();
      child.process.kill(signal);
      for (const session of sessions) expect(await session.closed).toEqual({ code: "closed-by-peer" });
      expect(await child.exit).toEqual({ code: 0, signal: null });
      expect(performance.now() - began).toBeLessThan(1000);
      expect(child.stdout.objects.filter((object) => object["event"] === "closed")).toHaveLength(2);
    },
  );

  test("SIGTERM to serve with 1,000 sessions says BYE to each within five seconds", async () => {
    const { child, tcp } = await server();
    const sessions: Session[] = [];
    for (let batch = 0; batch < 20; batch++) {
      sessions.push(...(await Promise.all(Array.from({ length: 50 }, () => openSession(tcp)))));
    }
    const began = performance.now();
    child.process.kill("SIGTERM");
    const reasons = await Promise.all(sessions.map((session) => session.closed));
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(5000);
    expect(reasons.filter(({ code }) => code === "closed-by-peer")).toHaveLength(1000);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s to connect says BYE, with exit code 0", async (signal) => {
    const { child: serving, tcp } = await server();
    const child = usmp(["connect", tcp, "--psk", TEST_KEY]);
    await child.stderr.line((line) => line.startsWith("session"));
    child.process.kill(signal);
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(await serving.stdout.line((line) => line.includes('"closed"'))).toContain('"closed-by-peer"');
  });

  test("connect ends when its standard input does, though the terminal of the test stays", async () => {
    const { child: serving, tcp } = await server();
    expect(await finished(["connect", tcp, "--psk", TEST_KEY], "one\ntwo\n")).toMatchObject({ code: 0 });
    await serving.stdout.line((line) => line.includes('"closed"'));
    expect(serving.stdout.objects.filter((object) => object["event"] === "message")).toHaveLength(2);
  });

  test("10,000 lines through a pipe arrive, all and in order", async () => {
    const { child: serving, tcp } = await server();
    const lines = Array.from({ length: 10_000 }, (_, index) => `line ${index}`);
    expect(await finished(["connect", tcp, "--psk", TEST_KEY], lines.join("\n"))).toMatchObject({ code: 0 });
    await serving.stdout.line((line) => line.includes('"closed"'));
    const received = serving.stdout.objects
      .filter((object) => object["event"] === "message")
      .map((object) => object["text"]);
    expect(received).toEqual(lines);
  });
});

describe("a reader that goes away", () => {
  test("ends keygen without a word, with exit code 0", async () => {
    const child = usmp(["keygen", "--count", "1000000"]);
    await child.stdout.line(() => true);
    child.process.stdout?.destroy();
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(child.stderr.text).toBe("");
  });

  test("ends serve with BYE at the next line", async () => {
    const { child, tcp } = await server();
    child.process.stdout?.destroy();
    const session = await openSession(tcp);
    expect(await session.closed).toEqual({ code: "closed-by-peer" });
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(child.stderr.text).toBe("");
  });

  test("a reader that only stalls does not keep serve from ending", async () => {
    const { child, tcp } = await server();
    child.process.stdout?.unpipe();
    child.process.stdout?.pause();
    const session = await openSession(tcp);
    // More than a pipe holds (64 KiB).
    for (let index = 0; index < 100; index++) await session.send("x".repeat(1800));
    child.process.kill("SIGTERM");
    expect((await session.closed).code).toBe("closed-by-peer");
    child.process.stdout?.resume();
    expect(await child.exit).toEqual({ code: 0, signal: null });
  });
});

test("standard output that is closed from the start does no harm", async () => {
  const child = new Child("sh", ["-c", '"$0" "$1" keygen >&-', process.execPath, BIN]);
  expect((await child.exit).code).toBe(0);
  expect(child.stderr.text).toBe("");
});

test("--psk - and a key file work as processes use them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "usmp-e2e-"));
  try {
    const { out: key } = await finished(["keygen"]);
    const path = join(folder, "key.txt");
    await writeFile(path, key, { mode: 0o600 });
    const { child, tcp } = await server(["--echo"], ["--psk-file", path]);
    expect(await finished(["send", tcp, "by file", "--wait", "1"], "", { USMP_PSK_FILE: path })).toMatchObject({
      code: 0,
      out: "by file\n",
    });
    expect(await finished(["send", tcp, "by input", "--wait", "1", "--psk", "-"], key)).toMatchObject({
      code: 0,
      out: "by input\n",
    });
    expect(child.stdout.text + child.stderr.text).not.toContain(key.trim());
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the dictionaries are loaded for text keys alone, because they take a while", async () => {
  for (const [key, loaded] of [
    [TEST_KEY, false],
    [`text:${TEST_KEY}`, true],
  ] as const) {
    const child = new Child(process.execPath, [BIN, "serve", "--psk", key, "--tcp", "127.0.0.1:0"], {
      NODE_DEBUG: "module,esm",
    });
    await child.stdout.line((line) => line.startsWith("listening"));
    child.process.kill("SIGTERM");
    await child.exit;
    expect(child.stderr.text.includes("zxcvbn")).toBe(loaded);
  }
});
