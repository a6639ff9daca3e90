import { Readable } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { LineReader } from "../src/line-reader.ts";

async function linesOf(chunks: readonly Uint8Array[]): Promise<string[]> {
  const reader = new LineReader(Readable.from(chunks, { objectMode: false }));
  const lines: string[] = [];
  for (let line = await reader.next(); line !== undefined; line = await reader.next())
    lines.push(Buffer.from(line).toString("latin1"));
  return lines;
}

const lines = (...chunks: string[]) => linesOf(chunks.map((chunk) => Buffer.from(chunk, "latin1")));

test("lines end with LF or CR LF, and the last one needs no end", async () => {
  expect(await lines("one\ntwo\r\nthree")).toEqual(["one", "two", "three"]);
  expect(await lines("one\n")).toEqual(["one"]);
  expect(await lines("")).toEqual([]);
});

test("an empty line is a line", async () => {
  expect(await lines("\n\na\n\n")).toEqual(["", "", "a", ""]);
});

test("bytes that are not UTF-8 pass unchanged", async () => {
  expect(await lines("\xff\xfe\n\x80")).toEqual(["\xff\xfe", "\x80"]);
});

test("where chunks are cut makes no difference", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("a", "\n", "\r\n", "bc"), { maxLength: 20 }),
      fc.integer({ min: 1, max: 5 }),
      async (parts, size) => {
        const whole = parts.join("");
        const chunks = whole.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
        expect(await lines(...chunks)).toEqual(await lines(whole));
      },
    ),
  );
});

test("a line without end is cut after 65,536 bytes, and the next line is whole", async () => {
  const endless = Array.from({ length: 40 }, () => "x".repeat(10_000));
  const [first, second] = await lines(...endless, "\nnext");
  expect(first).toHaveLength(65_536);
  expect(second).toBe("next");
});

test("nothing is read before the first line is asked for", async () => {
  let reads = 0;
  const source = new Readable({
    read() {
      reads++;
      this.push(null);
    },
  });
  const reader = new LineReader(source);
  await new Promise(setImmediate);
  expect(reads).toBe(0);
  expect(await reader.next()).toBeUndefined();
  expect(reads).toBe(1);
});
