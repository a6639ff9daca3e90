import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen, type Peer, Secret } from "usmp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BIN, type ServerProcess, server, TEST_KEY } from "./process.ts";
import { TmuxTerminal, tmuxAvailable } from "./tmux.ts";

let folder: string;
let keyFile: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "usmp-terminal-"));
  keyFile = join(folder, "key.txt");
  await writeFile(keyFile, TEST_KEY, { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

const usmp = (...words: string[]): string[] => [process.execPath, BIN, ...words];
const isPrompt = (row: string | undefined) => row?.startsWith(">") ?? false;
const isStatus = (row: string | undefined) =>
  /^ open \| rtt .* \| sent \d+ \| received \d+ \| epoch \d+ \| (tcp|udp) 127\.0\.0\.1:\d+ \|/.test(row ?? "");
const lastFilled = (rows: string[]) => rows.findLastIndex((row) => row !== "");
/** A line is printed before the status and the prompt under it are drawn again, and the screen may be looked at in between. */
const isWhole = (rows: string[]) => rows[lastFilled(rows)] === ">";

async function connected(serving: ServerProcess, ...words: string[]): Promise<TmuxTerminal> {
  const terminal = await TmuxTerminal.open(usmp("connect", serving.tcp, "--psk-file", keyFile, ...words));
  await terminal.until((rows) => isPrompt(rows[lastFilled(rows)]));
  return terminal;
}

describe.runIf(tmuxAvailable)("connect on a terminal", () => {
  test("has a prompt under a status line; what is typed is sent and what comes is printed above", async () => {
    const terminal = await connected(await server(["--echo"]));
    terminal.type("hello");
    terminal.press("Enter");
    const rows = await terminal.until((screen) => screen.includes("< hello") && isWhole(screen));
    const end = lastFilled(rows);
    expect(rows.slice(end - 3, end + 1)).toEqual([
      "> hello",
      "< hello",
      expect.stringMatching(/^ open \| .* \| sent 1 \| received 1 \|/) as string,
      ">",
    ]);
  });

  test("a message that comes while something is typed leaves that as it is", async () => {
    const serving = await server(["--echo"]);
    const terminal = await connected(serving);
    terminal.type("first");
    terminal.press("Enter");
    await terminal.until((rows) => rows.includes("< first"));
    terminal.type("/ping");
    terminal.press("Enter");
    terminal.type("half typed");
    const rows = await terminal.until(
      (screen) => screen.some((row) => row.startsWith("pong")) && screen[lastFilled(screen)] === "> half typed",
    );
    expect(isStatus(rows[lastFilled(rows) - 1])).toBe(true);
    expect(rows.filter(isStatus)).toHaveLength(1);
  });

  test("long lines and many of them leave one status line, and every message", async () => {
    const terminal = await connected(await server(["--echo"]));
    const long = `${"0123456789".repeat(12)} end`;
    for (const line of ["one", long, "three", "four"]) {
      terminal.type(line);
      terminal.press("Enter");
    }
    const rows = await terminal.until((screen) => screen.includes("< four") && isWhole(screen));
    expect(rows.filter(isStatus)).toHaveLength(1);
    const text = rows.join("");
    for (const line of ["one", long, "three", "four"]) expect(text).toContain(`< ${line}`);
  });

  test("has history", async () => {
    const terminal = await connected(await server());
    for (const line of ["older", "newer"]) {
      terminal.type(line);
      terminal.press("Enter");
    }
    await terminal.until((rows) => rows.includes("> newer") && isWhole(rows));
    terminal.press("Up", "Up");
    await terminal.until((rows) => rows[lastFilled(rows)] === "> older");
  });

  test("an empty line sends nothing", async () => {
    const serving = await server();
    const terminal = await connected(serving);
    terminal.press("Enter", "Enter");
    terminal.type("text");
    terminal.press("Enter");
    await serving.child.stdout.line((line) => line.includes('"text":"text"'));
    expect(serving.child.stdout.objects.filter((object) => object["event"] === "message")).toHaveLength(1);
  });

  test("escape sequences from the peer are shown, not obeyed", async () => {
    await using peer = await listen({
      tcp: "127.0.0.1:0",
      psk: new Secret(Buffer.from(TEST_KEY, "hex")),
      onSession: (session) => void session.send("\u001b[2J\u001b[1;1Hgone").catch(() => undefined),
    });
    const [{ host, port }] = peer.addresses as [Peer];
    const terminal = await TmuxTerminal.open(usmp("connect", `${host}:${port}`, "--psk-file", keyFile));
    const rows = await terminal.until((screen) => screen.some((row) => row.startsWith("< ")));
    expect(rows).toContain(`< hex:${Buffer.from("\u001b[2J\u001b[1;1Hgone").toString("hex")}`);
    expect(rows.some((row) => row.startsWith("session"))).toBe(true);
  });

  test.each([
    ["Ctrl-C", "C-c", "closed-locally"],
    ["Ctrl-D", "C-d", "closed-locally"],
  ])("%s says BYE and ends with exit code 0", async (_, key, reason) => {
    const serving = await server();
    const terminal = await connected(serving);
    terminal.press(key);
    const rows = await terminal.until((screen) => screen.includes("exit code 0"));
    expect(rows.some((row) => row.startsWith("closed") && row.includes(reason))).toBe(true);
    expect(await serving.child.stdout.line((line) => line.includes('"closed"'))).toContain('"closed-by-peer"');
  });

  test("the server's BYE ends it, with the status line gone", async () => {
    const serving = await server();
    const terminal = await connected(serving);
    serving.child.process.kill("SIGTERM");
    const rows = await terminal.until((screen) => screen.includes("exit code 0"));
    expect(rows.filter(isStatus)).toHaveLength(0);
    expect(rows.some((row) => row.includes("closed-by-peer: the peer said BYE"))).toBe(true);
  });
});

describe.runIf(tmuxAvailable)("on any terminal", () => {
  test("a key that is typed for --psk - is not shown", async () => {
    const terminal = await TmuxTerminal.open(usmp("serve", "--tcp", "127.0.0.1:0", "--psk", "-"));
    await terminal.until((rows) => rows.includes("key (not shown):"));
    terminal.type(`${TEST_KEY}x`);
    terminal.press("BSpace", "Enter");
    const rows = await terminal.until((screen) => screen.some((row) => row.startsWith("listening")));
    expect(rows.join("")).not.toContain(TEST_KEY.slice(0, 8));
    expect(rows.some((row) => row.includes("32 bytes, written as hex digits (standard input)"))).toBe(true);
  });

  test("colours are used, and with NO_COLOR none", async () => {
    for (const [variables, coloured] of [
      [{}, true],
      [{ NO_COLOR: "1" }, false],
    ] as const) {
      const terminal = await TmuxTerminal.open(usmp("serve", "--tcp", "127.0.0.1:0", "--psk-file", keyFile), {
        variables,
      });
      await terminal.until((rows) => rows.some((row) => row.startsWith("listening")));
      const row = terminal.screen(true).find((text) => text.includes("listening")) as string;
      expect(row.includes("\u001b[")).toBe(coloured);
      await terminal.close();
    }
  });
});
