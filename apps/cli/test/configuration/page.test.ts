import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { flagOf, GROUPS } from "../../src/configuration/setting.ts";
import { SETTING_NAMES, SETTINGS } from "../../src/configuration/settings.ts";

const PAGE = new URL("../../../../docs/configuration.md", import.meta.url);

/** `USMP_WRITE_DOCS=1 npx vitest run apps/cli/test/configuration/page.test.ts` writes them. */
test("docs/configuration.md has the tables that the settings make", () => {
  const page = readFileSync(PAGE, "utf8");
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  expect(Math.min(begin, end)).toBeGreaterThan(0);
  const expected = `${page.slice(0, begin + BEGIN.length)}\n\n${tables()}\n${page.slice(end)}`;
  if (process.env["USMP_WRITE_DOCS"] === "1") writeFileSync(PAGE, expected);
  else expect(page).toBe(expected);
});

const BEGIN = "<!-- the tables begin -->";
const END = "<!-- the tables end -->";

function tables(): string {
  return GROUPS.map((group) => {
    const rows = SETTING_NAMES.filter((name) => SETTINGS[name].group === group).map((name) => {
      const { kind, initial, unset, description } = SETTINGS[name];
      const standard = initial === undefined ? unset : `\`${initial === "" ? "[]" : initial}\``;
      return `| \`${flagOf(name)} ${kind.placeholder}\` | ${standard} | ${description} |`;
    });
    return `### ${group}\n\n| flag | default | what it is |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
  }).join("\n");
}
