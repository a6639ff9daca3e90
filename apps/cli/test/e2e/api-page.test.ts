import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { GatewayProcess, newDirectory } from "./gateway-process.ts";

const page = readFileSync(new URL("../../../../docs/api.md", import.meta.url), "utf8");
/** The page's shell examples, in order, but for the first, which makes the token. */
const EXAMPLES = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text as string).slice(1);
const shell = promisify(execFile);

test("the examples of docs/api.md work as they stand there", async () => {
  const gateway = await GatewayProcess.start(newDirectory(), ["--http", "127.0.0.1:0"]);
  onTestFinished(() => gateway.stop());
  const { url } = JSON.parse(await gateway.child.stdout.line((line) => line.includes('"event":"api"'))) as {
    url: string;
  };
  const folder = newDirectory();
  const tokenFile = join(folder, "ada.token");
  await gateway.must(["token", "add", "ada", "--role", "admin", "--expires", "90d", "--save-token", tokenFile]);
  const outputs: string[] = [];
  for (const example of EXAMPLES) {
    const running = shell("sh", ["-c", example], {
      cwd: folder,
      env: { ...process.env, TOKEN_FILE: tokenFile, API: url },
    });
    // What follows the live stream is ended by its own limit, which is curl's code 28.
    const { stdout } = await running.catch((error: { code: number; stdout: string }) => {
      expect([error.code, example]).toEqual([28, expect.stringContaining("--max-time")]);
      return error;
    });
    expect(stdout, example).not.toContain('"error"');
    outputs.push(stdout);
  }
  expect(EXAMPLES).toHaveLength(6);
  expect(JSON.parse(outputs[0] as string)).toEqual({ items: [], next: null });
  expect(JSON.parse(outputs[1] as string)).toMatchObject({
    devices: [{ name: "pump", psk: expect.stringMatching(/^[0-9a-f]{64}$/) }],
  });
  expect(JSON.parse(outputs[2] as string)).toMatchObject({ state: "queued", bytes: 6 });
  expect(outputs[3]?.trim().split("\n").at(-1)).toBe('{"end":true}');
  expect(existsSync(join(folder, "fleet.backup"))).toBe(true);
});
