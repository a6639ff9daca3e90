import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pythonSdk } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { finished, usmp } from "../e2e/process.ts";

const sdk = pythonSdk();

describe.runIf(sdk.available)("the lines that a gateway's first start prints", () => {
  test("enrol a device, and connect it with the Python SDK and with our own terminal, as they are pasted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "usmp-first-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const gateway = usmp(["gateway", "--data", join(folder, "data"), "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    onTestFinished(() => void gateway.process.kill());
    await gateway.stdout.line((line) => line === "END");
    const text = gateway.stdout.text;

    const [, add = "", connect = ""] = /npx usmp (device add .*)$[\s\S]*npx usmp (connect .*)$/m.exec(text) ?? [];
    const words = (line: string): string[] =>
      [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? (bare as string));
    const here = (word: string): string => (word === "first-device.key" ? join(folder, word) : word);
    expect(await finished(words(add).map(here))).toMatchObject({ code: 0 });

    const [, program = ""] = /<<'END'\n([\s\S]*?)\nEND$/m.exec(text) ?? [];
    const python = spawnSync(sdk.interpreter as string, ["-c", program], { cwd: folder, encoding: "utf8" });
    expect(python).toMatchObject({ status: 0, stderr: "" });
    await gateway.stdout.line((line) => line.includes("hello from Python"));

    const device = usmp(words(connect).map(here));
    device.endInput("hello from the terminal\n");
    expect(await device.exit).toEqual({ code: 0, signal: null });
    await gateway.stdout.line((line) => line.includes("hello from the terminal"));
  });
});
