import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EnrolledDevice } from "@usmp/gateway";
import { beforeEach, describe, expect, test } from "vitest";
import { GatewayBench, keyBytes } from "../gateway-bench.ts";

const ID = "7a:d3:e6:a9:9b:17";
const IMPORTED_TEST_KEY = "5ac6b51f0bd9a4c9c34d0f2b8d6f1f0c6b1d1f55a1c9e7b3528b0d9d1c2e4f61";

let bench: GatewayBench;
const path = (name: string): string => join(bench.directory, name);
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);
const read = (name: string): string => readFileSync(path(name), "utf8");

beforeEach(async () => {
  bench = new GatewayBench();
  await bench.start();
});

describe("usmp device add hands the key out", () => {
  test("in both forms by name, each in the grammar of --psk; no QR code in a pipe", async () => {
    const { lines } = await bench.usmp("device", "add", ID, "--name", "pump");
    expect(lines[0]).toBe(`enrolled   ${ID} "pump", key of generation 1`);
    const raw = lines.find((line) => line.trim().startsWith("hex:"))?.trim() ?? "";
    const text = lines.find((line) => line.trim().startsWith("text:"))?.trim() ?? "";
    expect(raw).toMatch(/^hex:[0-9a-f]{64}$/);
    expect(text).toBe(raw.replace("hex:", "text:"));
    expect(lines.join("\n")).toMatch(/shown once.*RAW form, 32 bytes.*TEXT form, 64 characters/s);
    expect(lines.join("")).not.toContain("▀");
    expect(await bench.admits(ID, keyBytes(raw))).toBe(true);
    expect(await bench.admits(ID, Buffer.from(text.slice(5)))).toBe(false);
  });

  test("as a QR code on a terminal, unless --no-qr or many devices are enrolled", async () => {
    expect((await bench.onTerminal("device", "add", ID)).lines.join("")).toContain("▀");
    expect((await bench.onTerminal("device", "add", "--no-qr")).lines.join("")).not.toContain("▀");
    expect((await bench.onTerminal("device", "add", "--count", "2")).lines.join("")).not.toContain("▀");
  });

  test("--save-key: to a new file of mode 0600, and not to the terminal", async () => {
    const { lines } = await bench.onTerminal("device", "add", ID, "--save-key", path("device.key"));
    expect(mode(path("device.key"))).toBe("600");
    expect(read("device.key")).toMatch(/^[0-9a-f]{64}\n$/);
    expect(lines.join("\n")).not.toContain(read("device.key").trim());
    expect(await bench.admits(ID, keyBytes(read("device.key").trim()))).toBe(true);
  });

  test("a file that is there is refused before a device is enrolled, and stays as it is", async () => {
    writeFileSync(path("device.key"), "mine\n");
    const { code, err } = await bench.usmp("device", "add", ID, "--save-key", path("device.key"));
    expect(code).toBe(2);
    expect(err).toContain("exists already");
    expect(read("device.key")).toBe("mine\n");
    expect(await bench.json("device", "list")).toEqual([]);
  });

  test("--nvs: NVS image input of mode 0600 with the raw key as a blob, and the commands from there to the board", async () => {
    const { lines } = await bench.usmp("device", "add", ID, "--nvs", path("images"));
    const file = path("images/7ad3e6a99b17.csv");
    expect(mode(file)).toBe("600");
    expect(mode(path("images"))).toBe("700");
    const [, , entry = ""] = readFileSync(file, "utf8").split("\n");
    const [name, type, encoding, digits = ""] = entry.split(",");
    expect([name, type, encoding]).toEqual(["psk", "data", "hex2bin"]);
    expect(await bench.admits(ID, keyBytes(digits))).toBe(true);
    const said = lines.join("\n");
    expect(said).not.toContain(digits);
    expect(said).toMatch(/generate-key.*esp_idf_nvs_partition_gen encrypt .*7ad3e6a99b17\.csv.*write-flash 0x9000/s);
  });

  test.each(["arduino", "esp-idf", "python", "typescript"])(
    "--snippet %s: a program without the key",
    async (language) => {
      const { lines } = await bench.usmp("device", "add", ID, "--save-key", path("k"), "--snippet", language);
      const program = lines.join("\n");
      expect(program).toContain(ID);
      expect(program).toContain(`${bench.port("tcp")}`);
      expect(program.replaceAll(/0x|[\s,]/g, "")).not.toContain(read("k").trim());
    },
  );

  test.each(["arduino", "esp-idf"])(
    "--snippet %s without an id is refused: an ESP32 cannot have a random one",
    async (language) => {
      const { code, err } = await bench.usmp("device", "add", "--snippet", language);
      expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining("Wi-Fi MAC address") });
      expect(await bench.json("device", "list")).toEqual([]);
    },
  );

  test("--plaintext-key: with the key, marked; without --snippet refused", async () => {
    const { lines } = await bench.usmp(
      "device",
      "add",
      ID,
      "--save-key",
      path("k"),
      "--snippet",
      "python",
      "--plaintext-key",
    );
    expect(lines.join("\n")).toContain("BENCH ONLY");
    expect(lines.join("\n")).toContain(read("k").trim());
    const { code, err } = await bench.usmp("device", "add", "--plaintext-key");
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining("--snippet") });
  });

  test("--json: one device a line", async () => {
    const [device] = await bench.json<EnrolledDevice>("device", "add", ID, "--name", "pump");
    expect(device).toMatchObject({ id: ID, name: "pump", generation: 1, psk: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });
});

describe("many devices, and keys that exist", () => {
  test("--count: each an id of its own, locally administered, with numbered names", async () => {
    const devices = await bench.json<EnrolledDevice>("device", "add", "--count", "3", "--name", "probe");
    expect(devices.map(({ name }) => name)).toEqual(["probe-1", "probe-2", "probe-3"]);
    expect(new Set(devices.map(({ id }) => id)).size).toBe(3);
    for (const { id } of devices) expect(Number.parseInt(id.slice(0, 2), 16) & 3).toBe(2);
  });

  test("--count beyond what one request takes", async () => {
    const devices = await bench.json<EnrolledDevice>("device", "add", "--count", "1001");
    expect(new Set(devices.map(({ psk }) => psk)).size).toBe(1001);
  });

  test("--from-csv: ids, names, tags and keys of a table; one that is wrong enrols none", async () => {
    writeFileSync(path("fleet.csv"), `id,name,tags,key\n${ID},One,a b,${IMPORTED_TEST_KEY}\n02:00:00:00:00:02,Two,,\n`);
    await bench.json("device", "add", "--from-csv", path("fleet.csv"), "--tag", "new");
    const devices = await bench.json<{ id: string; tags: string[] }>("device", "list");
    expect(devices.map(({ id, tags }) => [id, tags])).toEqual([
      ["02:00:00:00:00:02", ["new"]],
      [ID, ["a", "b", "new"]],
    ]);
    expect(await bench.admits(ID, keyBytes(IMPORTED_TEST_KEY))).toBe(true);
    writeFileSync(path("wrong.csv"), `02:00:00:00:00:03,Three\n${ID},again\n`);
    const { code, err } = await bench.usmp("device", "add", "--from-csv", path("wrong.csv"));
    expect(code).toBe(1);
    expect(err).toContain(ID);
    expect(await bench.json("device", "list")).toHaveLength(2);
  });

  test.each([
    ["usmp-dev-psk-change-me-before-prod", "development key", []],
    ["usmp-dev-psk-change-me-before-prod", "development key", ["--allow-weak"]],
    ["your-generated-psk-here", "public documentation", ["--allow-weak"]],
    ["hex:757365722d70736b0000000000000000", "before zeros", ["--allow-weak"]],
    ["fifteen bytes !", "15 bytes", ["--allow-weak"]],
    ["sixteen byte key", "16 bytes", []],
    ["our garage door opener has a secret", "can be guessed", []],
  ])("--key-file with %j is refused with its reason, and nothing is enrolled", async (key, reason, words) => {
    writeFileSync(path("k"), key);
    const { code, err } = await bench.usmp("device", "add", ID, "--key-file", path("k"), ...words);
    expect(code).toBe(2);
    expect(err).toContain(reason);
    expect(await bench.json("device", "list")).toEqual([]);
  });

  test("--allow-weak lets a short key of one's own in; a refusal had said why not", async () => {
    writeFileSync(path("k"), "sixteen byte key");
    expect((await bench.usmp("device", "add", ID, "--key-file", path("k"))).err).toContain("HELLO_ACK");
    expect((await bench.usmp("device", "add", ID, "--key-file", path("k"), "--allow-weak")).code).toBe(0);
    expect(await bench.admits(ID, Buffer.from("sixteen byte key"))).toBe(true);
  });

  test("64 hex digits as text are strong", async () => {
    writeFileSync(path("k"), `text:${IMPORTED_TEST_KEY}`);
    expect((await bench.usmp("device", "add", ID, "--key-file", path("k"))).code).toBe(0);
    expect(await bench.admits(ID, Buffer.from(IMPORTED_TEST_KEY))).toBe(true);
  });
});

describe("a factory", () => {
  test("makes the keys of its batch without the gateway, and they get in; another batch's do not", async () => {
    const [batch] = (await bench.usmp("factory-key", "2026-11")).lines;
    writeFileSync(path("batch.key"), `${batch}\n`);
    const [made] = await bench.json<EnrolledDevice>("factory-derive", "--key-file", path("batch.key"), ID);
    expect(made).toMatchObject({ id: ID, generation: 1 });
    await bench.json("device", "add", ID, "--batch", "2026-12");
    expect(await bench.admits(ID, keyBytes(made?.psk ?? ""))).toBe(false);
    await bench.json("device", "delete", ID);
    await bench.json("device", "add", ID, "--batch", "2026-11");
    const [again] = await bench.json<EnrolledDevice>(
      "factory-derive",
      "--key-file",
      path("batch.key"),
      ID,
      "--generation",
      "2",
    );
    expect(await bench.admits(ID, keyBytes(again?.psk ?? ""))).toBe(true);
  });

  test("takes its ids from a table and writes NVS image inputs", async () => {
    const [batch] = (await bench.usmp("factory-key", "b")).lines;
    writeFileSync(path("batch.key"), `${batch}\n`);
    writeFileSync(path("ids.csv"), `${ID}\n02:00:00:00:00:02\n`);
    const derive = (...words: string[]) => bench.usmp("factory-derive", "--key-file", path("batch.key"), ...words);
    expect((await derive("--from-csv", path("ids.csv"), "--nvs", path("images"))).code).toBe(0);
    expect(mode(path("images/020000000002.csv"))).toBe("600");
    expect((await derive()).err).toContain("give device ids, or --from-csv FILE");
    writeFileSync(path("none.csv"), ",nobody\n");
    expect((await derive("--from-csv", path("none.csv"))).err).toContain("each device needs its id");
  });
});
