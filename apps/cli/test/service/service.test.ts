import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../../src/program.ts";
import { packageVersion } from "../../src/version.ts";
import { begin } from "../commands/running.ts";
import { virtualEnvironment } from "../virtual-environment.ts";
import { SystemctlDouble } from "./systemctl-double.ts";

let folder: string;
let data: string;
let systemctl: SystemctlDouble;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "usmp-service-"));
  data = join(folder, "data");
  systemctl = new SystemctlDouble(folder, data);
});
afterEach(() => rmSync(folder, { recursive: true }));

async function service(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const environment = virtualEnvironment(systemctl.variables);
  const code = await run(["service", ...words], environment);
  return { code, out: environment.stdout.text, err: environment.stderr.text };
}

/** What the unit would start. */
async function gateway(): Promise<void> {
  const { environment } = begin(["gateway", "--data", data, "--tcp", "127.0.0.1:0", "--json"]);
  await environment.stdout.line((line) => line.includes('"listening"'));
}

const ASK = "--user --no-pager";

describe("a user's service, with a systemctl that writes down what it is asked", () => {
  test("is installed, started, and found to answer; and taken away with its data left alone", async () => {
    await gateway();
    const { code, out, err } = await service("install", "--user", "--json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toMatchObject({
      event: "service",
      unit: "usmp-gateway.service",
      state: "active",
      enabled: true,
      pid: process.pid,
      restarts: 1,
      data,
      version: packageVersion(),
    });
    const unit = readFileSync(systemctl.unit, "utf8");
    expect(unit).toContain(`gateway --data ${data}\n`);
    expect(systemctl.asked.slice(0, 3)).toEqual([
      `${ASK} daemon-reload`,
      `${ASK} enable usmp-gateway.service`,
      `${ASK} restart usmp-gateway.service`,
    ]);
    expect(await service("status", "--user")).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^service +usmp-gateway\.service active, pid \d+, started again 1 times, started at boot; gateway \S+ answers on /,
      ) as string,
    });

    const gone = await service("uninstall", "--user", "--json");
    expect(gone.code).toBe(0);
    expect(JSON.parse(gone.out)).toMatchObject({ state: "not-installed", enabled: false, pid: null });
    expect(existsSync(systemctl.unit)).toBe(false);
    expect(existsSync(join(data, "usmp.db"))).toBe(true);
    expect(systemctl.asked).toContain(`${ASK} disable --now usmp-gateway.service`);
    expect(await service("status", "--user")).toMatchObject({ code: 1 });
  });

  test("that fails is told with where to look", async () => {
    systemctl.answer("failed", 0);
    const { code, out, err } = await service("install", "--user");
    expect(code).toBe(1);
    expect(out).toContain("usmp-gateway.service failed");
    expect(err).toContain('"journalctl --user -u usmp-gateway.service -n 30" says why');
  });

  test("that systemd refuses to start is told with what it said", async () => {
    systemctl.answer("failed", 5);
    const { code, err } = await service("install", "--user");
    expect(code).toBe(1);
    expect(err).toContain("systemctl --user --no-pager restart usmp-gateway.service: Job failed.");
  });

  test("--dry-run prints the unit and asks nothing", async () => {
    const { code, out } = await service("install", "--user", "--dry-run");
    expect(code).toBe(0);
    expect(out).toMatch(/^# Written by: usmp service install[\s\S]*WantedBy=default\.target\n$/);
    expect(existsSync(systemctl.unit)).toBe(false);
    expect(systemctl.asked).toEqual([]);
  });
});

describe("asked for in a wrong way", () => {
  test.each<[string, string[], number, RegExp]>([
    [
      "a credential of a user's service",
      ["install", "--user", "--master-credential", "/etc/hostname"],
      2,
      /--master-credential: .*; take away/,
    ],
    ["low ports of a user's service", ["install", "--user", "--low-ports"], 2, /--low-ports: .*; take away/],
    [
      "a configuration that is not there",
      ["install", "--config", "/nonexistent.yaml"],
      2,
      /--config "\/nonexistent\.yaml": is not there; make/,
    ],
    [
      "uninstalling what is not installed",
      ["uninstall", "--user"],
      1,
      /usmp-gateway\.service: is not there; without --user/,
    ],
  ])("%s", async (_, words, exitCode, message) => {
    const { code, out, err } = await service(...words);
    expect({ code, out }).toEqual({ code: exitCode, out: "" });
    expect(err).toMatch(message);
    expect(systemctl.asked).toEqual([]);
  });

  test("no systemctl", async () => {
    const environment = virtualEnvironment({ ...systemctl.variables, PATH: "/nonexistent" });
    expect(await run(["service", "status", "--user"], environment)).toBe(1);
    expect(environment.stderr.text).toMatch(/systemctl .*ENOENT; is systemd what starts services here\?/);
  });
});
