import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";

let folder: string;
let data: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "usmp-configuration-"));
  data = join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
});
afterEach(() => rmSync(folder, { recursive: true }));

async function printed(
  words: readonly string[] = [],
  variables: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const environment = virtualEnvironment({ USMP_DATA: data, ...variables });
  const code = await run(["gateway", "--print-config", ...words], environment);
  return { code, out: environment.stdout.text, err: environment.stderr.text };
}

function write(path: string, text: string): string {
  writeFileSync(path, text, { mode: 0o644 });
  return path;
}

describe("which file is read", () => {
  test("none, when there is none: everything is a default, but the data directory", async () => {
    const { code, out } = await printed();
    expect(code).toBe(0);
    const other = out.split("\n").filter((line) => line !== "" && !line.endsWith("# default"));
    expect(other.map((line) => line.replace(/ +#/, " #"))).toEqual([`data: ${data} # USMP_DATA`]);
  });

  test("gateway.yaml in the data directory; USMP_CONFIG before it, --config before that", async () => {
    write(join(data, "gateway.yaml"), "keep: 1d\n");
    const second = write(join(folder, "second.yaml"), "keep: 2d\n");
    const third = write(join(folder, "third.yaml"), "keep: 3d\n");
    expect((await printed()).out).toMatch(/^keep: 1d +# \S+\/data\/gateway\.yaml:1$/m);
    expect((await printed([], { USMP_CONFIG: second })).out).toMatch(/^keep: 2d +# \S+\/second\.yaml:1$/m);
    expect((await printed(["--config", third], { USMP_CONFIG: second })).out).toMatch(/^keep: 3d /m);
  });

  test("as JSON, one object for each setting", async () => {
    const { out } = await printed(["--json", "--keep", "2d", "--dev"]);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.find(({ name }) => name === "keep")).toMatchObject({
      event: "setting",
      value: "2d",
      origin: "flag",
      place: "--keep",
    });
    expect(events.find(({ name }) => name === "dev")).toMatchObject({ value: "yes", place: "--dev" });
    expect(events.find(({ name }) => name === "database")).toMatchObject({
      value: null,
      origin: "default",
      place: null,
    });
  });
});

describe("refused with exit code 2", () => {
  test.each<[string, string, RegExp]>([
    ["a named file that is not there", "missing.yaml", /--config "\S+missing\.yaml": cannot be read \(ENOENT\); give/],
    ["a directory", ".", /--config "\S+": cannot be read \(EISDIR\); give/],
  ])("%s", async (_, name, message) => {
    const { code, out, err } = await printed(["--config", join(folder, name)]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
  });

  test.runIf(process.platform !== "win32")("a file that others may change: it can name programs", async () => {
    const path = write(join(data, "gateway.yaml"), "keep: 1d\n");
    chmodSync(path, 0o666);
    const { code, err } = await printed();
    expect(code).toBe(2);
    expect(err).toContain(`${path}: others may change it (mode 666); run "chmod go-w ${path}"`);
  });

  test("a file that is far too large", async () => {
    const path = write(join(folder, "large.yaml"), "#".repeat(1_048_577));
    expect((await printed(["--config", path])).err).toContain("has 1048577 bytes, which no configuration has; give");
  });

  test("a wrong setting, by a start as well, which then leaves nothing behind", async () => {
    const path = write(join(folder, "gateway.yaml"), "keep: 1d\nqueue-tll: 7d\n");
    const environment = virtualEnvironment({ USMP_DATA: join(folder, "fresh") });
    expect(await run(["gateway", "--config", path, "--json"], environment)).toBe(2);
    const [error] = environment.stderr.objects;
    expect(error).toMatchObject({
      code: "usage",
      message: `${path}:2:1: "queue-tll" is no setting; did you mean "queue-ttl"?`,
    });
    expect(environment.stdout.text).toBe("");
  });

  test("two things that do not go together, by --print-config as well", async () => {
    const { code, err } = await printed(["--http-key", "key.pem"]);
    expect(code).toBe(2);
    expect(err).toContain("--http-key: a certificate and its key go together; set http-certificate too");
  });
});
