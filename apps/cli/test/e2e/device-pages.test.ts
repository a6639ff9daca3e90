import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SNIPPET_LANGUAGES, type SnippetLanguage, snippet } from "@usmp/gateway";
import { pythonSdk } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { BIN, type Child, usmp } from "./process.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const ID = "7a:d3:e6:a9:9b:17";
const TEST_KEY = "4f11c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
const page = (name: string): string => readFileSync(join(ROOT, "docs", "devices", `${name}.md`), "utf8");

interface Block {
  readonly language: string;
  /** Behind the language: a file's name, or what a shell block is for. */
  readonly label: string;
  readonly content: string;
}

function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(/^```(\w*)(?: (\S+))?\n(.*?)^```$/gms)].map(
    ([, language = "", label = "", content = ""]) => ({
      language,
      label,
      content,
    }),
  );
}

describe("pages for devices", () => {
  test.each(SNIPPET_LANGUAGES)("the program of %s is the one that usmp device add --snippet prints", (language) => {
    const host = language === "python" || language === "typescript" ? "127.0.0.1" : "192.168.1.10";
    const program = snippet(language, { id: ID, host, port: 9000, transport: "tcp" });
    expect(blocksOf(page(language)).map(({ content }) => content)).toContain(program);
  });

  test.each(SNIPPET_LANGUAGES)("%s tells what success and each failure look like", (language) => {
    expect(page(language)).toMatch(/## \d\. Success/);
    expect(page(language)).toMatch(/## \d\. When it does not work\n.*`usmp why 7a:d3:e6:a9:9b:17`/s);
  });
});

/** A folder for the device, a gateway on a free port, and `usmp` in the path: where the commands of a page run as they stand. */
class Workshop {
  readonly folder: string = mkdtempSync(join(tmpdir(), "usmp-page-"));
  readonly port: number;
  readonly variables: Record<string, string>;
  #gateway: Child | undefined;

  private constructor(port: number) {
    this.port = port;
    const programs = join(this.folder, "..", `${this.folder.split("/").at(-1)}-bin`);
    mkdirSync(programs);
    writeFileSync(join(programs, "usmp"), `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`);
    chmodSync(join(programs, "usmp"), 0o755);
    const data = join(programs, "data");
    const path = [programs, dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
    this.variables = { PATH: path, HOME: this.folder, USMP_DATA: data };
    onTestFinished(() => {
      for (const directory of [this.folder, programs]) rmSync(directory, { recursive: true, force: true });
    });
  }

  static async open(): Promise<Workshop> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    return new Workshop(port);
  }

  async startGateway(): Promise<Child> {
    const address = `127.0.0.1:${this.port}`;
    const gateway = usmp(["gateway", "--tcp", address, "--udp", address], this.variables);
    await gateway.stdout.line((line) => line.startsWith("listening  udp"));
    this.#gateway = gateway;
    return gateway;
  }

  async stopGateway(): Promise<void> {
    this.#gateway?.process.kill("SIGTERM");
    await this.#gateway?.exit;
  }

  write(name: string, content: string): void {
    writeFileSync(join(this.folder, name), content.replaceAll("9000", String(this.port)), { mode: 0o600 });
  }

  /** Runs a block of shell commands as they stand; answers its output, standard error included, and whether all went well. */
  sh(commands: string): Promise<{ ok: boolean; output: string }> {
    return new Promise((resolve) => {
      execFile(
        "sh",
        ["-ec", commands],
        { cwd: this.folder, env: this.variables, encoding: "utf8" },
        (error, stdout, stderr) => resolve({ ok: error === null, output: stdout + stderr }),
      );
    });
  }

  async why(): Promise<string> {
    return (await this.sh(`usmp why ${ID} --limit 1`)).output.split("\n")[0] ?? "";
  }
}

interface Runnable {
  readonly language: SnippetLanguage;
  readonly file: string;
  /** Makes what the install block makes, where that needs a registry. */
  install(workshop: Workshop, block: string): Promise<void>;
  /** The program with its key taken as text. */
  asText(workshop: Workshop, program: string): void;
}

const PAGES: readonly Runnable[] = [
  {
    language: "python",
    file: "device.py",
    async install({ folder }, block) {
      expect(block).toBe("python3 -m venv venv\nvenv/bin/pip install usmp\n");
      // The same environment, which `npm test` has made already.
      symlinkSync(dirname(dirname(pythonSdk().interpreter as string)), join(folder, "venv"));
    },
    asText: (workshop, program) =>
      workshop.write("device.py", program.replace(/return bytes\.fromhex\((.*)\)$/m, "return $1.encode()")),
  },
  {
    language: "typescript",
    file: "device.js",
    async install(workshop, block) {
      const { ok, output } = await workshop.sh(block.replaceAll("../usmp/", ROOT));
      expect(ok, output).toBe(true);
    },
    asText: (workshop) =>
      workshop.write("device.key", `text:${readFileSync(join(workshop.folder, "device.key"), "utf8")}`),
  },
];

const runnable = PAGES.filter(({ language }) => language !== "python" || pythonSdk().available);

describe.each(runnable)("the page for $language", ({ language, file, install, asText }) => {
  const text = page(language);
  const blocks = blocksOf(text);
  const block = (label: string): string =>
    blocks.find((each) => each.label === label)?.content ?? expect.unreachable(label);
  const enrol = blocks.find(({ content }) => content.startsWith("usmp device add"))?.content ?? "";
  const failures = [...text.matchAll(/^\| ([^`|][^|]*) \| `([^`]+)` \| (?:`([^`]+)`)? ?\|$/gm)].map(
    ([, wrong = "", says = "", why]) => ({ wrong, says, why }),
  );

  async function prepared(): Promise<Workshop> {
    const workshop = await Workshop.open();
    await install(workshop, block("install"));
    workshop.write(file, block(file));
    return workshop;
  }

  test("leads from an empty folder to the first message", async () => {
    const workshop = await prepared();
    expect(block("gateway")).toBe("usmp gateway\n");
    const gateway = await workshop.startGateway();
    const enrolled = await workshop.sh(enrol);
    expect(enrolled.ok, enrolled.output).toBe(true);
    const run = await workshop.sh(block("run"));
    expect(run.output).toMatch(/^session [0-9a-f]{32}\n/);
    expect(run.ok).toBe(true);
    await gateway.stdout.line((line) => line.startsWith("message ") && line.includes("hello"));
    workshop.write(file, block(file).replace('"tcp"', '"udp"'));
    expect((await workshop.sh(block("run"))).output).toMatch(/^session [0-9a-f]{32}\n/);
  });

  if (language === "typescript")
    test("its program is TypeScript, too", async () => {
      const workshop = await prepared();
      workshop.write("device.ts", block(file));
      const types = `--typeRoots "${ROOT}node_modules/@types" --types node`;
      const options = `--noEmit --strict --target es2023 --module nodenext --skipLibCheck ${types}`;
      const { ok, output } = await workshop.sh(`"${ROOT}node_modules/.bin/tsc" ${options} device.ts`);
      expect(ok, output).toBe(true);
    });

  test("its table of failures is true, line by line", { timeout: 180_000 }, async () => {
    const workshop = await prepared();
    const key = (content: string): void => workshop.write("device.key", content);
    const sh = async (command: string): Promise<void> => {
      const { ok, output } = await workshop.sh(command);
      expect(ok, output).toBe(true);
    };
    const handedOut = (): string => readFileSync(join(workshop.folder, "device.key"), "utf8");
    /** What each line of the table does to a device that worked; in the table's order. */
    const seeds: Readonly<Record<string, () => Promise<void> | void>> = {
      "the gateway does not run": () => key(TEST_KEY),
      "no key file": async () => {
        rmSync(join(workshop.folder, "device.key"));
        await workshop.startGateway();
      },
      "the id is not enrolled": () => key(TEST_KEY),
      "another key": async () => {
        await sh(`rm device.key; ${enrol} mv device.key right.key`);
        key("a5".repeat(8) + TEST_KEY.slice(16));
      },
      "the digits used as text": async () => {
        await sh("cp right.key device.key");
        asText(workshop, block(file));
      },
      "the development key": () => {
        workshop.write(file, block(file));
        const published = "usmp-dev-psk-change-me-before-prod";
        key(language === "python" ? Buffer.from(published).toString("hex") : published);
      },
      "the key before the last rotation": async () => {
        await sh(`cp right.key device.key; usmp device rotate ${ID} --compromised --save-key next.key`);
      },
      suspended: () => sh(`cp next.key device.key; usmp device suspend ${ID}`),
      revoked: () => sh(`usmp device revoke ${ID}`),
    };
    expect(failures.map(({ wrong }) => Object.keys(seeds).find((name) => wrong.startsWith(name)))).toEqual(
      Object.keys(seeds),
    );
    for (const [index, seed] of Object.values(seeds).entries()) {
      const { wrong, says, why } = failures[index] as (typeof failures)[number];
      await seed();
      const { ok, output } = await workshop.sh(block("run"));
      expect(ok, wrong).toBe(false);
      expect(output, wrong).toContain(says);
      expect(output).not.toContain(handedOutDigits(workshop));
      if (why !== undefined) expect(await workshop.why(), wrong).toMatch(new RegExp(`^${why}`));
    }
    expect(handedOut()).toMatch(/^[0-9a-f]{64}\n$/);
  });
});

function handedOutDigits({ folder }: Workshop): string {
  try {
    return readFileSync(join(folder, "right.key"), "utf8").trim();
  } catch {
    return TEST_KEY;
  }
}
