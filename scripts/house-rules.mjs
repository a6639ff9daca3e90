/** Rules of this repository that no linter knows. Part of `npm run check:lint`. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./run.mjs";

const problems = [...lockfileProblems(), ...coverageExclusionProblems()];
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;

/** The lockfile names no registry, and every package in it lies in this repository or comes from the registry in use. */
function lockfileProblems() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const found = [];
  for (const [path, entry] of Object.entries(packages)) {
    const { resolved } = entry;
    if (resolved !== undefined && !/^(packages|apps)\/[a-z]+$/.test(resolved)) {
      found.push(
        `package-lock.json: "${path}" is bound to ${resolved}; omit-lockfile-registry-resolved in .npmrc leaves it out`,
      );
    }
    if (path.includes("node_modules/") && entry.link !== true && entry.integrity === undefined) {
      found.push(`package-lock.json: "${path}" has no integrity hash; delete the entry and run npm install`);
    }
  }
  return found;
}

/** Code left out of coverage says why: a `v8 ignore` comment carries its reason after ` -- `. */
function coverageExclusionProblems() {
  const sources = join(ROOT, "packages", "protocol", "src");
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return files.flatMap((name) => {
    const lines = readFileSync(join(sources, name), "utf8").split("\n");
    return lines.flatMap((line, index) => {
      const comment = /(?:v8|c8|istanbul) ignore (?!stop)(.*)/.exec(line);
      if (comment === null || /--.*\w{2,}\W+\w{2,}/.test(comment[1]?.replace("@preserve", "") ?? "")) return [];
      return [`packages/protocol/src/${name}:${index + 1}: excluded from coverage without a reason after " -- "`];
    });
  });
}
