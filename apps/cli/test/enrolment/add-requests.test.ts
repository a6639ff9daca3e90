import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addRequests } from "../../src/enrolment/add-requests.ts";

const TEST_KEY = "4f11c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "usmp-add-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe("what is asked of the gateway", () => {
  test("one device with its id in lower case, its name and tags", async () => {
    expect(await addRequests("AA:BB:CC:DD:EE:FF", { name: "Garden", tag: ["outdoor"] })).toEqual([
      { id: "aa:bb:cc:dd:ee:ff", name: "Garden", tags: ["outdoor"] },
    ]);
  });

  test("--count: so many without an id, their names numbered", async () => {
    expect(await addRequests(undefined, { count: 2, name: "probe" })).toEqual([
      { name: "probe-1", tags: [] },
      { name: "probe-2", tags: [] },
    ]);
    expect(await addRequests(undefined, {})).toEqual([{ tags: [] }]);
  });

  test("--key-file: the key in the grammar of --psk, as hex digits", async () => {
    const hex = await file("hex.key", `${TEST_KEY}\n`);
    const text = await file("text.key", `text:${TEST_KEY}\n`);
    const id = "aa:bb:cc:dd:ee:ff";
    expect(await addRequests(id, { keyFile: hex })).toEqual([{ id, tags: [], key: TEST_KEY }]);
    expect(await addRequests(id, { keyFile: text, allowWeak: true })).toEqual([
      { id, tags: [], key: Buffer.from(TEST_KEY).toString("hex"), allowWeak: true },
    ]);
  });

  test("--from-csv: each line a device, with --tag added to all and keys that are brought along", async () => {
    const path = await file("fleet.csv", `id,name,tags,key\naa:bb:cc:dd:ee:01,One,x,${TEST_KEY}\n,Two,,\n`);
    expect(await addRequests(undefined, { fromCsv: path, tag: ["new"] })).toEqual([
      { id: "aa:bb:cc:dd:ee:01", name: "One", tags: ["new", "x"], key: TEST_KEY },
      { name: "Two", tags: ["new"] },
    ]);
  });

  test("--batch: the keys that the factory made", async () => {
    expect(await addRequests("aa:bb:cc:dd:ee:ff", { batch: "2026-11" })).toMatchObject([{ batch: "2026-11" }]);
  });

  test.each([
    [undefined, { keyFile: "x" }, "give its id"],
    [undefined, { batch: "b" }, "give ID or --from-csv"],
    ["aa:bb:cc:dd:ee:ff", { count: 2 }, "leave ID out, or --count"],
    ["aa:bb:cc:dd:ee:ff", { keyFile: "x", batch: "b" }, "give one of them"],
    ["aa:bb:cc:dd:ee:ff", { fromCsv: "x" }, "names the devices itself"],
    [undefined, { fromCsv: "/nonexistent/fleet.csv" }, "there is no such file"],
    [undefined, { fromCsv: "/" }, "it is a directory"],
    ["aa:bb:cc", {}, "ID"],
    ["aa:bb:cc:dd:ee:ff", { keyFile: "/nonexistent/key" }, "there is no such file"],
  ])("%s with %j is refused with what to do", async (id, options, problem) => {
    await expect(addRequests(id, options)).rejects.toThrow(problem);
  });

  test("a line of a table that is wrong is named, its key is not", async () => {
    const wrongId = await file("id.csv", ",a,,\naa:bb,b,,\n");
    await expect(addRequests(undefined, { fromCsv: wrongId })).rejects.toThrow("line 2");
    const wrongKey = await file("key.csv", `aa:bb:cc:dd:ee:ff,a,,hex:${TEST_KEY}0\n`);
    await expect(addRequests(undefined, { fromCsv: wrongKey })).rejects.toThrow(/line 1: the key has 65 hex digits/);
    await expect(addRequests(undefined, { fromCsv: wrongKey })).rejects.not.toThrow(TEST_KEY.slice(0, 16));
    const both = await file("both.csv", `aa:bb:cc:dd:ee:ff,a,,${TEST_KEY}\n`);
    await expect(addRequests(undefined, { fromCsv: both, batch: "b" })).rejects.toThrow("take one of them out");
  });
});
