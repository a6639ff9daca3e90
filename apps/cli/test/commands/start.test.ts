import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectingHelp } from "../../src/commands/start.ts";
import { dataDirectory, ensureKeyFile } from "../../src/first-key.ts";
import { begin, type Running } from "./running.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "usmp-start-"));
});
afterEach(() => rm(folder, { recursive: true }));

function start(...words: string[]): Running {
  return begin(["start", "--data", join(folder, "data"), "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", ...words]);
}

async function startAndStop(...words: string[]): Promise<string> {
  const { environment, done } = start(...words);
  await Promise.race([done, environment.stdout.line((line) => line.includes("END") || line.includes('"udp"'))]);
  environment.stop();
  expect(await done, environment.stderr.text).toBe(0);
  return environment.stdout.text;
}

const keyFile = (): string => join(folder, "data", "psk");
const writtenKey = (): Promise<string> => readFile(keyFile(), "utf8");

describe("the first run", () => {
  test("makes a strong key in a file that nobody else may read, and prints its path but not the key", async () => {
    const output = await startAndStop();
    const key = await writtenKey();
    expect(key).toMatch(/^[0-9a-f]{64}\n$/);
    expect((await stat(keyFile())).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "data"))).mode & 0o777).toBe(0o700);
    expect(output).toContain(`${keyFile()} (new)`);
    expect(output).not.toContain(key.trim());
    expect(await readdir(join(folder, "data"))).toEqual(["psk"]);
  });

  test("--show-key prints the key", async () => {
    const output = await startAndStop("--show-key");
    expect(output).toContain((await writtenKey()).trim());
  });

  test("two first runs at once agree on one key", async () => {
    const files = await Promise.all(Array.from({ length: 8 }, () => ensureKeyFile(join(folder, "data"))));
    expect(files.filter(({ created }) => created)).toHaveLength(1);
    expect(await writtenKey()).toMatch(/^[0-9a-f]{64}\n$/);
  });
});

test("later runs keep the key", async () => {
  await startAndStop();
  const key = await writtenKey();
  expect(await startAndStop()).not.toContain("(new)");
  expect(await writtenKey()).toBe(key);
});

test.each(["640", "604", "622"])(
  "a key file of mode %s is refused with exit code 1 and the command that mends it",
  async (mode) => {
    await ensureKeyFile(join(folder, "data"));
    await chmod(keyFile(), Number.parseInt(mode, 8));
    const { environment, done } = start();
    expect(await done).toBe(1);
    expect(environment.stdout.text).toBe("");
    expect(environment.stderr.text).toMatch(new RegExp(`^usmp: key-exposed: .*mode ${mode}.*chmod 600`));
  },
);

test("a key file that holds a weak key is refused with exit code 2", async () => {
  await ensureKeyFile(join(folder, "data"));
  await writeFile(keyFile(), "sixteen byte key\n");
  const { environment, done } = start();
  expect(await done).toBe(2);
  expect(environment.stderr.text).toContain("weak-key");
});

test("--json tells the key file and prints nothing that is no object", async () => {
  const lines = (await startAndStop("--json")).trimEnd().split("\n");
  const objects = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(objects.map((object) => object["event"])).toEqual(["key", "keyfile", "listening", "listening"]);
  expect(objects[1]).toMatchObject({ path: keyFile(), created: true });
  expect(objects[1]).not.toHaveProperty("key");
});

describe("where the key file is", () => {
  test("--data comes before USMP_DATA, and that before XDG_DATA_HOME", () => {
    const variables = { USMP_DATA: "/of-usmp", XDG_DATA_HOME: "/of-xdg" };
    expect(dataDirectory("/given", variables)).toBe("/given");
    expect(dataDirectory(undefined, variables)).toBe("/of-usmp");
    expect(dataDirectory(undefined, { XDG_DATA_HOME: "/of-xdg" })).toBe("/of-xdg/usmp");
  });

  test("without any of them, and with a relative XDG_DATA_HOME, it is in the home directory", () => {
    for (const variables of [{}, { XDG_DATA_HOME: "relative" }]) {
      expect(dataDirectory(undefined, variables)).toMatch(/^\/.*\/\.local\/share\/usmp$/);
    }
  });
});

describe("lines to paste", () => {
  const tcp = { transport: "tcp", host: "::", port: 9000 } as const;
  const udp = { transport: "udp", host: "::", port: 9001 } as const;

  test("name an address that can be connected to, both transports and the key file", () => {
    const help = connectingHelp({ addresses: [tcp, udp] }, "/data/psk");
    expect(help).toContain("npx usmp connect 127.0.0.1:9000 --psk-file /data/psk   # over UDP: 127.0.0.1:9001 --udp\n");
    expect(help).toContain('USMPClient(host="127.0.0.1", port=9000, psk=key, protocol="tcp")');
    expect(help).toContain('open("/data/psk")');
  });

  test("UDP alone is named as UDP", () => {
    const help = connectingHelp({ addresses: [{ ...udp, host: "10.0.0.7" }] }, "/data/psk");
    expect(help).toContain("npx usmp connect 10.0.0.7:9001 --udp --psk-file /data/psk\n");
    expect(help).toContain('protocol="udp"');
  });

  test("a path with blanks and quotes is one word for the shell and one string for Python", () => {
    const help = connectingHelp({ addresses: [tcp] }, `/it's "here"/psk`);
    expect(help).toContain(`--psk-file '/it'\\''s "here"/psk'\n`);
    expect(help).toContain(`open("/it's \\"here\\"/psk")`);
  });
});
