import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pythonSdk } from "@usmp/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Child } from "./process.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const EXAMPLES = join(ROOT, "examples");

/**
 * A copy of examples/ inside the clone, because the programs import what the clone has built, with a port and a data directory of its own.
 * What a page's shell blocks say is run there as it stands: "sh", "sh fails" to its end, "sh gateway" and "sh device" beside the others.
 */
class Workshop {
  readonly folder: string;
  readonly port: number;
  readonly httpPort: number;
  readonly variables: Record<string, string>;
  readonly running = new Map<string, Child>();

  constructor([port, httpPort]: readonly [number, number]) {
    mkdirSync(join(ROOT, ".cache"), { recursive: true });
    this.folder = mkdtempSync(join(ROOT, ".cache", "examples-"));
    this.port = port;
    this.httpPort = httpPort;
    cpSync(EXAMPLES, this.folder, { recursive: true });
    this.variables = {
      USMP_DATA: join(this.folder, "data"),
      USMP_TCP: `127.0.0.1:${port}`,
      USMP_UDP: `127.0.0.1:${port}`,
      USMP_ADDRESS: `127.0.0.1:${port}`,
      GREENHOUSE_UDP: `127.0.0.1:${port}`,
      GREENHOUSE_HTTP: `127.0.0.1:${httpPort}`,
      PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
      npm_config_cache: join(this.folder, "npm"),
      npm_config_update_notifier: "false",
    };
  }

  /** Runs all blocks of a page, and answers what those that end have printed, by their first lines. */
  async follow(name: string, instead: Readonly<Record<string, () => void>> = {}): Promise<Map<string, string>> {
    const printed = new Map<string, string>();
    const folder = join(this.folder, name);
    for (const { label, content } of shellBlocks(readFileSync(join(folder, "README.md"), "utf8"))) {
      const script = content.replaceAll("127.0.0.1:8080", `127.0.0.1:${this.httpPort}`);
      if (label === "gateway" || label === "device") {
        const child = new Child("sh", ["-c", `cd '${folder}' && exec ${withoutNpx(script)}`], this.variables);
        this.running.set(label, child);
        const ready = label === "gateway" ? "listening" : "connected";
        await Promise.race([child.stdout.line((line) => line.includes(ready)), failed(child)]);
      } else if (instead[label] !== undefined) {
        instead[label]();
      } else {
        const env = { HOME: process.env["HOME"], ...this.variables };
        const { status, stdout, stderr } = spawnSync("sh", ["-ec", script], { cwd: folder, env, encoding: "utf8" });
        expect(status, `${script}\n${stdout}${stderr}`).toBe(label === "fails" ? 1 : 0);
        printed.set(script.split("\n")[0] as string, stdout);
      }
    }
    return printed;
  }

  async line(label: "gateway" | "device", wanted: (line: string) => boolean): Promise<string> {
    const child = this.running.get(label) as Child;
    return Promise.race([child.stdout.line(wanted), failed(child)]);
  }

  async stop(): Promise<void> {
    for (const child of [...this.running.values()].reverse()) {
      child.process.kill("SIGTERM");
      await child.exit;
    }
    rmSync(this.folder, { recursive: true });
  }
}

/** In a terminal Ctrl-C reaches what npx has started; a test signals the process that it knows. */
function withoutNpx(script: string): string {
  return script
    .trim()
    .replace(/^npx usmp/, `'${process.execPath}' '${join(ROOT, "apps/cli/bin/usmp.mjs")}'`)
    .replace(/^(\w+=\S+) /, "env $1 ");
}

async function failed(child: Child): Promise<never> {
  const { code } = await child.exit;
  throw new Error(`ended with ${code}: ${child.stdout.text}${child.stderr.text}`);
}

function shellBlocks(page: string): { readonly label: string; readonly content: string }[] {
  return [...page.matchAll(/^```sh(?: (\S+))?\n(.*?)^```$/gms)].map(([, label = "", content = ""]) => ({
    label,
    content,
  }));
}

let workshop: Workshop;
beforeEach(async () => {
  workshop = new Workshop([await freePort(), await freePort()]);
});
afterEach(() => workshop.stop());

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

describe("every command of the page works, and the example does what it says", () => {
  test("typescript-device sends readings, and comes back to a gateway that was started again", async () => {
    await workshop.follow("typescript-device");
    await workshop.line("device", (line) => line === 'delivered {"temperature":21.5,"vent":"closed"}');
    const gateway = workshop.running.get("gateway") as Child;
    await gateway.stdout.line((line) => line.includes("21.5"));
    gateway.process.kill("SIGTERM");
    await workshop.line("device", (line) => line.startsWith("waiting "));
    await gateway.exit;
    const words = [join(ROOT, "apps/cli/bin/usmp.mjs"), "gateway"];
    workshop.running.set("gateway", new Child(process.execPath, words, workshop.variables));
    await workshop.line("gateway", (line) => line.includes("21.5"));
    const device = workshop.running.get("device") as Child;
    device.process.kill("SIGTERM");
    expect(await device.exit).toEqual({ code: 0, signal: null });
    await workshop.line("gateway", (line) => line.includes("closed-by-peer"));
  });

  test("embedded-gateway enrols, keeps readings, answers with a command, and is a gateway like any other", async () => {
    const printed = await workshop.follow("embedded-gateway");
    await workshop.line("device", (line) => line === "vent open");
    await workshop.line("device", (line) => line === 'delivered {"temperature":19.5,"vent":"open"}');
    await workshop.line("gateway", (line) => line === "bed-1 19.5");
    expect(printed.get(`curl -fsS http://127.0.0.1:${workshop.httpPort}/`)).toMatch(
      /^(\{\}|\{"bed-1":\{"temperature":[\d.]+,"vent".*\})\n$/,
    );
    const list = spawnSync(
      process.execPath,
      [
        join(ROOT, "apps/cli/bin/usmp.mjs"),
        "device",
        "list",
        "--data",
        join(workshop.folder, "embedded-gateway/greenhouse/gateway"),
        "--json",
      ],
      { encoding: "utf8" },
    );
    expect(JSON.parse(list.stdout)).toMatchObject({ name: "bed-1", tags: ["greenhouse"], online: true });
    const gateway = workshop.running.get("gateway") as Child;
    gateway.process.kill("SIGTERM");
    expect(await gateway.exit).toEqual({ code: 0, signal: null });
  });

  test("operator checks, tables, revokes and backs up", async () => {
    const printed = await workshop.follow("operator");
    expect(printed.get("./fleet.sh check")).toBe("away: 02:00:00:00:00:03\n");
    expect(printed.get("./fleet.sh table")).toBe("id;state;online;last seen\n02:00:00:00:00:03;active;no;never\n");
    expect(printed.get("./fleet.sh lost 02:00:00:00:00:03")).toBe("revoked: 02:00:00:00:00:03\n");
    const [file, ...others] = readdirSync(join(workshop.folder, "operator", "backups"));
    expect(file).toMatch(/^fleet-\d{8}T\d{6}Z\.backup$/);
    expect(others).toEqual([]);
    const fleet = (...words: string[]): string =>
      spawnSync(join(workshop.folder, "operator", "fleet.sh"), words, {
        cwd: join(workshop.folder, "operator"),
        env: { HOME: process.env["HOME"], ...workshop.variables },
        encoding: "utf8",
      }).stdout;
    // Only a revoked device is left.
    expect(fleet("check")).toBe("all is well\n");
  });
});

const sdk = pythonSdk();

describe.runIf(sdk.available || process.env["CI"] === "true")("with the Python SDK", () => {
  test("python-device sends readings and takes a command", async () => {
    await workshop.follow("python-device", {
      // The SDK of this clone instead of one from the network.
      install: () =>
        symlinkSync(dirname(dirname(sdk.interpreter as string)), join(workshop.folder, "python-device", "venv")),
    });
    await workshop.line("device", (line) => line === 'delivered {"temperature": 21.5, "vent": "closed"}');
    await workshop.line("device", (line) => line === "vent open");
    await workshop.line("device", (line) => line === 'delivered {"temperature": 19.5, "vent": "open"}');
    const gateway = workshop.running.get("gateway") as Child;
    gateway.process.kill("SIGTERM");
    await workshop.line("device", (line) => line.startsWith("waiting "));
  });
});
