import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandsOf, createProgram, run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";

const STRONG_TEST_KEY = "4f00c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
const SHORT_TEST_KEY = "hex:a53a79ac575efddd4576f2d31d4baaf0";
const DEVELOPMENT_KEY = "usmp-dev-psk-change-me-before-prod";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "usmp-usage-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a command that must end by itself. */
async function ends(
  words: string[],
  variables: Record<string, string> = {},
  input = "",
): Promise<{ code: number; out: string; err: string }> {
  const environment = virtualEnvironment(variables, input);
  const code = await run(words, environment);
  return { code, out: environment.stdout.text, err: environment.stderr.text };
}

const serve = (...words: string[]) => ends(["serve", "--tcp", "127.0.0.1:0", ...words]);

describe("help", () => {
  const program = createProgram({ environment: virtualEnvironment(), perform: async () => {} });
  const words = program.commands.map((command) => command.name());
  const leaves = commandsOf(program).filter(({ command }) => command.commands.length === 0);

  test.each(leaves.map(({ words }) => words))(
    "%s --help teaches by example on standard output, with exit code 0",
    async (word) => {
      const { code, out, err } = await ends([...word.split(" ").slice(1), "--help"]);
      expect(code).toBe(0);
      expect(err).toBe("");
      expect(out).toContain(`Usage: ${word}`);
      expect(out).toMatch(/Examples:\n {2}\$ /);
    },
  );

  test("--help names every command, and the exit codes", async () => {
    const { out } = await ends(["--help"]);
    for (const word of words) expect(out).toMatch(new RegExp(`^  ${word} `, "m"));
    expect(out).toContain("Exit codes: 0 done, 1 failed, 2 asked for in a wrong way");
  });

  test("--version prints the version alone", async () => {
    expect(await ends(["--version"])).toEqual({ code: 0, out: "0.1.0\n", err: "" });
  });
});

describe("asked for in a wrong way: exit code 2, nothing on standard output", () => {
  const wrong: [string, string[]][] = [
    ["no command", []],
    ["no command of device", ["device"]],
    ["an unknown command of device", ["device", "forget"]],
    ["no device id", ["device", "show"]],
    ["one device and all", ["device", "rotate", "02:00:00:00:00:01", "--all"]],
    ["a grace that is no time", ["device", "rotate", "02:00:00:00:00:01", "--grace", "7 days"]],
    ["two places of the master secret", ["gateway", "--master-file", "a", "--master-sealed", "b"]],
    ["a limit of zero", ["why", "--limit", "0"]],
    ["an unknown command", ["listen"]],
    ["an unknown option", ["keygen", "--bits", "128"]],
    ["no address", ["connect"]],
    ["no message", ["send", "127.0.0.1:9"]],
    ["no port", ["connect", "127.0.0.1", "--psk", STRONG_TEST_KEY]],
    ["a port that is none", ["connect", "127.0.0.1:70000", "--psk", STRONG_TEST_KEY]],
    ["a URL", ["connect", "tcp://127.0.0.1:9", "--psk", STRONG_TEST_KEY]],
    ["TCP and UDP at once", ["connect", "127.0.0.1:9", "--tcp", "--udp", "--psk", STRONG_TEST_KEY]],
    ["a device id that is none", ["connect", "127.0.0.1:9", "--device-id", "01:02", "--psk", STRONG_TEST_KEY]],
    ["a timeout of zero", ["send", "127.0.0.1:9", "x", "--timeout", "0", "--psk", STRONG_TEST_KEY]],
    ["a negative number of replies", ["send", "127.0.0.1:9", "x", "--wait=-1", "--psk", STRONG_TEST_KEY]],
    ["a listening address that is none", ["serve", "--tcp", "nowhere", "--psk", STRONG_TEST_KEY]],
    ["no key", ["serve", "--tcp", "127.0.0.1:0"]],
    ["a key and a key file", ["serve", "--psk", STRONG_TEST_KEY, "--psk-file", "key.txt"]],
    ["a key file that is not there", ["serve", "--psk-file", "/nonexistent/key.txt"]],
    ["a key file that is a directory", ["serve", "--psk-file", "/"]],
    ["a key file without end", ["serve", "--psk-file", "/dev/zero"]],
  ];

  test.each(wrong)("%s", async (_, words) => {
    const { code, out, err } = await ends(words);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).not.toContain("should not happen");
    expect(err.length).toBeGreaterThan(20);
  });

  test.each(wrong)("%s, under --json: one object on standard error", async (_, words) => {
    const { code, out, err } = await ends([...words, "--json"]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(JSON.parse(err)).toEqual({
      time: expect.any(String) as string,
      event: "error",
      code: expect.stringMatching(/^(usage|invalid-(option|address|key))$/) as string,
      message: expect.stringMatching(/\w{2,}.*; .*\w{2,}/) as string,
    });
  });
});

describe("keys", () => {
  test.each([
    ["of 15 bytes", ["--psk", "fifteen bytes !"], "invalid-key", "has 15 bytes"],
    [
      "of 15 bytes, weak keys allowed",
      ["--psk", "fifteen bytes !", "--allow-weak", "--dev"],
      "invalid-key",
      "has 15 bytes",
    ],
    ["that are the development key", ["--psk", DEVELOPMENT_KEY], "weak-key", "published development key"],
    [
      "that are the development key, weak keys allowed",
      ["--psk", DEVELOPMENT_KEY, "--allow-weak"],
      "weak-key",
      "--dev",
    ],
    [
      "that are the development key with a zero behind it",
      ["--psk", `hex:${Buffer.from(DEVELOPMENT_KEY).toString("hex")}00`],
      "weak-key",
      "published development key",
    ],
    [
      "that are printed in an example",
      ["--psk", "your-generated-psk-here", "--allow-weak"],
      "weak-key",
      "public documentation",
    ],
    ["of 16 bytes", ["--psk", SHORT_TEST_KEY], "weak-key", "has 16 bytes"],
    ["that can be guessed", ["--psk", "our garage door opener has a secret"], "weak-key", "can be guessed"],
    ["with odd hex", ["--psk", "hex:abc"], "invalid-key", "odd number"],
  ])("%s are refused with exit code 2", async (_, words, word, reason) => {
    const { code, out, err } = await serve(...words);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(new RegExp(`^usmp: ${word}: --psk: `));
    expect(err).toContain(reason);
    expect(err).toContain(word === "weak-key" ? "usmp keygen" : "; ");
    expect(err).not.toContain(words[1] as string);
  });

  test("a refusal for strength gives the reason: one heard HELLO_ACK can be searched offline", async () => {
    expect((await serve("--psk", SHORT_TEST_KEY)).err).toContain(
      "whoever hears one HELLO_ACK can search such keys offline",
    );
  });

  test("what --allow-weak and --dev let in is said with the key, and of a strong key nothing", async () => {
    expect(await keyLine(["--psk", SHORT_TEST_KEY, "--allow-weak"])).toContain("a weak key, let in by --allow-weak");
    expect(await keyLine(["--psk", DEVELOPMENT_KEY, "--dev"])).toContain("DEVELOPMENT MODE");
    expect(await keyLine(["--psk", STRONG_TEST_KEY, "--allow-weak"])).not.toContain("weak");
  });

  test("64 hex digits as text are strong", async () => {
    expect(await keyLine(["--psk", `text:${STRONG_TEST_KEY}`])).not.toContain("weak");
  });

  /** Serves until it listens, then ends it; answers how the key was named. */
  async function keyLine(words: string[], variables: Record<string, string> = {}, input = ""): Promise<string> {
    const environment = virtualEnvironment(variables, input);
    const done = run(["serve", "--tcp", "127.0.0.1:0", ...words], environment);
    await Promise.race([done, environment.stdout.line((line) => line.startsWith("listening"))]);
    environment.stop();
    expect(await done, environment.stderr.text).toBe(0);
    return environment.stdout.lines[0] as string;
  }

  test("the form in use and its source are printed, with what the key admits", async () => {
    expect(await keyLine(["--psk", STRONG_TEST_KEY])).toBe(
      "key        32 bytes, written as hex digits (--psk); this key admits any device id",
    );
    expect(await keyLine(["--psk", `text:${STRONG_TEST_KEY}`])).toContain("64 bytes of text (--psk)");
    expect(await keyLine(["--psk", SHORT_TEST_KEY, "--allow-weak"])).toContain("16 bytes, written as hex digits");
    expect(await keyLine(["--psk", DEVELOPMENT_KEY, "--dev"])).toContain("34 bytes of text");
    expect(await keyLine(["--psk", SHORT_TEST_KEY.slice(4), "--allow-weak"])).toContain(
      "32 bytes of text (--psk); this key admits any device id; all of it is hex digits",
    );
  });

  test.each([
    ["", "32 bytes"],
    ["\n", "32 bytes"],
    ["\r\n", "32 bytes"],
  ])("a key file may end with %j", async (end, form) => {
    const path = join(folder, "key.txt");
    await writeFile(path, STRONG_TEST_KEY + end);
    expect(await keyLine(["--psk-file", path])).toContain(`${form}, written as hex digits (--psk-file ${path})`);
    expect(await keyLine([], { USMP_PSK_FILE: path })).toContain(`(USMP_PSK_FILE ${path})`);
  });

  test("a second newline in a key file is no part of a key", async () => {
    const path = join(folder, "two-newlines.txt");
    await writeFile(path, `${STRONG_TEST_KEY}\n\n`);
    const { code, err } = await serve("--psk-file", path);
    expect(code).toBe(2);
    expect(err).toContain("line break at position 65");
  });

  test("--psk and --psk-file come before USMP_PSK_FILE", async () => {
    expect(await keyLine(["--psk", STRONG_TEST_KEY], { USMP_PSK_FILE: "/nonexistent" })).toContain("(--psk)");
  });

  test("--psk - takes the first line of standard input", async () => {
    expect(await keyLine(["--psk", "-"], {}, `${STRONG_TEST_KEY}\nnot the key\n`)).toContain(
      "32 bytes, written as hex digits (standard input)",
    );
    expect((await serve("--psk", "-")).err).toContain("standard input is empty");
  });

  test("under npx, which keeps arguments in the process list, a key in them is warned of", async () => {
    const npx = { npm_command: "exec" };
    expect(await keyLine(["--psk", STRONG_TEST_KEY], npx)).toContain("npx keeps this key in the process list");
    expect(await keyLine(["--psk", "-"], npx, STRONG_TEST_KEY)).not.toContain("npx");
  });

  test("no key, printed or refused, appears in the output", async () => {
    for (const words of [
      ["--psk", STRONG_TEST_KEY],
      ["--psk", STRONG_TEST_KEY, "--json"],
    ]) {
      const environment = virtualEnvironment();
      const done = run(["serve", "--tcp", "127.0.0.1:0", ...words], environment);
      await environment.stdout.line((line) => line.includes("listening"));
      environment.stop();
      await done;
      expect(environment.stdout.text + environment.stderr.text).not.toContain(STRONG_TEST_KEY.slice(0, 16));
    }
  });
});
