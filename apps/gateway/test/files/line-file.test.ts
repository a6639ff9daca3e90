import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { LineFile, type LineFileOptions } from "../../src/files/line-file.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "usmp-lines-"));
  path = join(directory, "deep", "lines.jsonl");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function lineFile(options: LineFileOptions = {}): LineFile {
  const file = new LineFile(path, options);
  onTestFinished(() => file.close());
  return file;
}

const content = (suffix = ""): string => readFileSync(`${path}${suffix}`, "utf8");

test("a new file is its owner's alone, and lines are appended to what is there", async () => {
  await lineFile().append('{"a":1}\n');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await lineFile().append('{"a":2}\n{"a":3}\n');
  expect(content()).toBe('{"a":1}\n{"a":2}\n{"a":3}\n');
});

test("what somebody renames or removes is left alone, and a new file begun", async () => {
  const file = lineFile();
  await file.append("{1}\n");
  renameSync(path, `${path}.old`);
  await file.append("{2}\n");
  rmSync(path);
  await file.append("{3}\n");
  await file.append("{4}\n");
  expect([content(".old"), content()]).toEqual(["{1}\n", "{3}\n{4}\n"]);
});

test("the half line of a crash is cut off, whole ones stay", async () => {
  const file = lineFile();
  await file.append("{1}\n");
  await file.close();
  appendFileSync(path, '{"device":"02:00');
  await lineFile().append("{2}\n");
  expect(content()).toBe("{1}\n{2}\n");
  writeFileSync(path, '{"only a half');
  await lineFile().append("{3}\n");
  expect(content()).toBe("{3}\n");
});

test.each([
  ["a text without an end", "not ours"],
  ["a text behind lines", '{"a":1}\nnot ours'],
  ["a long line", `{${"x".repeat(70_000)}`],
])("%s is not cut: it is refused and stays as it is", async (_, text) => {
  await lineFile().open();
  writeFileSync(path, text);
  await expect(lineFile().open()).rejects.toThrow(/does not end with a line of JSON: .*give another path/);
  expect(content()).toBe(text);
});

test("what is no file is refused at once", async () => {
  await lineFile().open();
  rmSync(path);
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
  await expect(lineFile().open()).rejects.toThrow("is not a regular file");
  rmSync(path);
  symlinkSync("/dev/null", path);
  await expect(lineFile().open()).rejects.toThrow("is not a regular file");
});

describe("a write that does not fit on the disk", () => {
  /** The system lets no file of this process grow beyond so many bytes: as on a full disk, part of a write succeeds. */
  function limitFiles(bytes: number | "unlimited"): void {
    execFileSync("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]);
  }

  test.skipIf(spawnSync("prlimit", ["--version"]).status !== 0)(
    "leaves nothing of it in the file, and goes through when there is room",
    async () => {
      const file = lineFile();
      const lines = `${"x".repeat(59)}\n`.replace("x", "{");
      await file.append(lines);
      try {
        limitFiles(100);
        await expect(file.append(lines)).rejects.toThrow("EFBIG");
        expect(content()).toBe(lines);
      } finally {
        limitFiles("unlimited");
      }
      await file.append("{2}\n");
      expect(content()).toBe(`${lines}{2}\n`);
    },
  );
});

describe("rotation", () => {
  test("renames before the size is exceeded, and keeps so many", async () => {
    const file = lineFile({ maxBytes: 10, keep: 2 });
    for (let i = 1; i <= 9; i++) await file.append(`{${i}}\n`);
    expect([content(), content(".1"), content(".2")]).toEqual(["{9}\n", "{7}\n{8}\n", "{5}\n{6}\n"]);
    expect(existsSync(`${path}.3`)).toBe(false);
  });

  test("a batch that is larger than a file gets one of its own; keeping none forgets", async () => {
    const file = lineFile({ maxBytes: 10, keep: 0 });
    await file.append("{1}\n");
    await file.append("{123456789012345}\n");
    expect(content()).toBe("{123456789012345}\n");
    await file.append("{2}\n");
    expect(content()).toBe("{2}\n");
    expect(existsSync(`${path}.1`)).toBe(false);
  });
});
