import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { Child } from "./process.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** One list of instructions for each stage. */
function stages(text: string): Instruction[][] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const all: Instruction[][] = [];
  for (const line of lines) {
    const [, word = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? expect.unreachable(`no instruction: ${line}`);
    if (word === "FROM") all.push([]);
    all.at(-1)?.push({ word, rest });
  }
  return all;
}

const [build = [], last = []] = stages(readFileSync(join(ROOT, "Dockerfile"), "utf8"));
const of = (stage: readonly Instruction[], word: string): string[] =>
  stage.filter((instruction) => instruction.word === word).map(({ rest }) => rest);
const words = (json: string): string[] => JSON.parse(json) as string[];

const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
};
/** What `npm prune --omit=dev` takes away. */
const forDevelopment = new Set(Object.entries(lock.packages).flatMap(([path, { dev }]) => (dev ? [path] : [])));

describe("the Dockerfile", () => {
  test("copies what there is, and runs no package's script", () => {
    for (const copied of of(build, "COPY").flatMap((rest) => rest.split(" ").slice(0, -1))) {
      expect(existsSync(join(ROOT, copied)), copied).toBe(true);
    }
    expect(of(build, "RUN").join()).toContain("npm ci --omit=optional --ignore-scripts");
    expect(of(last, "COPY").every((rest) => rest.startsWith("--from=build "))).toBe(true);
  });

  test("ends as a user without rights, whose number is known, with one place to write", () => {
    const user = last.findIndex(({ word }) => word === "USER");
    expect(last[user]?.rest).toBe("1000:1000");
    expect(last.slice(user + 1).map(({ word }) => word)).not.toContain("RUN");
    expect(of(last, "VOLUME")).toEqual(["/data"]);
    expect(of(last, "STOPSIGNAL")).toEqual(["SIGTERM"]);
  });

  test.runIf(process.getuid?.() === 0)(
    "what its last stage has and starts works as that user, where it can write nothing but its data",
    { timeout: 180_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "usmp-image-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const [image, data] = [join(folder, "usmp"), join(folder, "data")];
      mkdirSync(image);
      // The files are root's, and the process is not: to it they are read-only.
      for (const name of ["package.json", "node_modules", "packages", "apps"]) {
        cpSync(join(ROOT, name), join(image, name), {
          recursive: true,
          verbatimSymlinks: true,
          filter: (source) => !forDevelopment.has(relative(ROOT, source)) && !/(test|target|\.cache)$/.test(source),
        });
      }
      const entry = words(of(last, "ENTRYPOINT")[0] as string);
      const variables = Object.fromEntries(
        of(last, "ENV").flatMap((line) => [...line.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name, value])),
      );
      expect(variables).toMatchObject({ NODE_ENV: "production" });
      const start = (...more: string[]): Child => {
        const script = `mkdir -p '${data}' && chown 1000:1000 '${data}' && chmod 700 '${data}' && chmod 755 '${folder}' && cd '${image}' && exec setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --bounding-set=-all "$@"`;
        return new Child("sh", ["-c", script, "sh", process.execPath, ...more], {
          ...variables,
          HOME: "/nonexistent",
          USMP_DATA: data,
          USMP_TCP: "127.0.0.1:0",
          USMP_UDP: "127.0.0.1:0",
        });
      };
      const gateway = start(...entry.slice(1), ...words(of(last, "CMD")[0] as string));
      const failed = gateway.exit.then(() => expect.unreachable(gateway.stderr.text));
      await Promise.race([gateway.stdout.line((line) => line.includes('"listening"')), failed]);
      const [, health = "[]"] = /CMD (\[.*\])$/.exec(of(last, "HEALTHCHECK")[0] as string) ?? [];
      const check = start(...words(health).slice(1));
      expect(await check.exit, check.stderr.text).toMatchObject({ code: 0 });
      gateway.process.kill("SIGTERM");
      expect(await gateway.exit).toEqual({ code: 0, signal: null });
      const unhealthy = start(...words(health).slice(1));
      expect(await unhealthy.exit).toMatchObject({ code: 1 });
    },
  );
});
