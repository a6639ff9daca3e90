import { parseKey } from "usmp";
import { expect, test } from "vitest";
import { generateKey } from "../../src/commands/keygen.ts";
import { run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";

test("keygen prints 64 hex digits and nothing else", async () => {
  const environment = virtualEnvironment();
  expect(await run(["keygen"], environment)).toBe(0);
  expect(environment.stdout.text).toMatch(/^[0-9a-f]{64}\n$/);
  expect(environment.stderr.text).toBe("");
});

test("on a terminal both forms stand below the digits, by name", async () => {
  const environment = virtualEnvironment();
  Object.assign(environment.stdout, { isTTY: true });
  expect(await run(["keygen"], environment)).toBe(0);
  const [key, raw, text] = environment.stdout.lines;
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(raw).toMatch(new RegExp(`RAW form, 32 bytes +hex:${key} `));
  expect(text).toMatch(new RegExp(`TEXT form, 64 characters +text:${key} `));
});

test("--json has both forms, in the grammar of --psk", async () => {
  const environment = virtualEnvironment();
  expect(await run(["keygen", "--json"], environment)).toBe(0);
  const [object] = environment.stdout.objects as [{ key: string; raw: string; text: string }];
  expect(object).toMatchObject({ raw: `hex:${object.key}`, text: `text:${object.key}` });
  expect(parseKey(Buffer.from(object.raw)).key.length).toBe(32);
  expect(parseKey(Buffer.from(object.text)).key.length).toBe(64);
});

test("--count prints so many different keys, one a line", async () => {
  const environment = virtualEnvironment();
  expect(await run(["keygen", "--count", "100"], environment)).toBe(0);
  expect(new Set(environment.stdout.lines).size).toBe(100);
  for (const line of environment.stdout.lines) expect(line).toMatch(/^[0-9a-f]{64}$/);
});

test.each(["0", "-1", "1.5", "many", ""])("--count %j ends with exit code 2 and prints no key", async (count) => {
  const environment = virtualEnvironment();
  expect(await run(["keygen", `--count=${count}`], environment)).toBe(2);
  expect(environment.stdout.text).toBe("");
  expect(environment.stderr.text).toContain("--count");
});

test("zero bytes are drawn again, each alone, until there are none", () => {
  const draws = [
    Uint8Array.from({ length: 32 }, (_, index) => (index % 8 === 0 ? 0 : index)),
    ...[0, 0, 11, 22, 0, 33, 44].map((byte) => Uint8Array.of(byte)),
  ];
  const key = generateKey((out) => out.set(draws.shift() as Uint8Array));
  expect(draws).toHaveLength(0);
  expect(Buffer.from(key, "hex").includes(0)).toBe(false);
  expect(key.slice(0, 4)).toBe("0b01");
});
