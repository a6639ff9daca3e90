import { readFileSync } from "node:fs";
import { DEFAULT_LIMITS } from "@usmp/protocol";
import { expect, test } from "vitest";

const page = readFileSync(new URL("../../../docs/limits.md", import.meta.url), "utf8");
const settings = page.slice(page.indexOf("## Settings"), page.indexOf("## What is fixed"));
const rows = [...settings.matchAll(/^\| `(\w+)` \| (\d+) \| (.+?) \| (.+?) \|$/gm)].map(
  ([, name = "", value, reason = "", bites = ""]) => ({ name, value: Number(value), reason, bites }),
);

test("docs/limits.md has every limit of the code, in its order, with its default", () => {
  expect(rows.map(({ name, value }) => [name, value])).toEqual(Object.entries(DEFAULT_LIMITS));
});

test("docs/limits.md gives each limit a reason", () => {
  for (const { name, reason } of rows) expect(reason.length, name).toBeGreaterThan(20);
});

test("what docs/limits.md says is counted is counted so by the code", () => {
  const sources = ["connection/counters.ts", "connection/events.ts"]
    .map((file) => readFileSync(new URL(`../../protocol/src/${file}`, import.meta.url), "utf8"))
    .join("\n");
  const api = readFileSync(new URL("../src/api.ts", import.meta.url), "utf8");
  for (const { name, bites } of rows) {
    const labels = [...bites.matchAll(/`([\w-]+)`/g)].map(([, label]) => label);
    expect(labels.length > 0 || bites.startsWith("never: "), name).toBe(true);
    for (const label of labels) {
      expect(sources.includes(`"${label}"`) || api.includes(`${label}: number`), `${label} of ${name}`).toBe(true);
    }
  }
});
