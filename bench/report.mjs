/** Prints results for people: one page. */
import { compareResults } from "./compare.mjs";
import { MEASURES } from "./measures.mjs";

/**
 * @typedef {import("./contenders.mjs").Name} Name
 * @typedef {import("./statistics.mjs").Summary} Summary
 * @typedef {object} Results
 * @property {string} takenAt
 * @property {Record<string, unknown>} machine
 * @property {import("./measures.mjs").Plan} plan
 * @property {Record<string, unknown>} tls what TLS agreed on
 * @property {Readonly<Partial<Record<Name, string>>>} titles
 * @property {import("./targets.mjs").FigureTable} figures
 * @property {readonly import("./targets.mjs").Verdict[]} targets
 * @property {import("./primitives.mjs").PrimitiveTable} primitives
 * @property {{ minifiedBytes: number, gzippedBytes: number }} bundle
 * @property {Record<string, Record<string, { javascriptBytes: number, residentBytes: number }>>} held
 */

/** Beside whom we stand, in the order of the columns of ratios. */
const YARDSTICKS = /** @type {const} */ (["plain", "tls", "mosquitto", "python"]);

/** @param {Results} results */
export function printReport({ machine, tls, titles, figures, targets, primitives, bundle, held }) {
  console.log(facts(machine));
  if (Object.keys(tls).length > 0) console.log(`TLS agreed on ${facts(tls)}`);
  console.log();

  const names = /** @type {Name[]} */ (Object.keys(titles));
  const beside = YARDSTICKS.filter((name) => names.includes(name));
  const rows = [
    [
      "of the server process",
      "unit",
      ...names.map((name) => titles[name] ?? name),
      ...beside.map((name) => `/ ${name}`),
    ],
  ];
  for (const [measure, { title, unit }] of Object.entries(MEASURES)) {
    const row = figures[measure] ?? {};
    if (row.usmp === undefined && Object.keys(row).length === 0) continue;
    const ratios = beside.map((name) => ratio(row.usmp, row[name]));
    rows.push([title, unit, ...names.map((name) => format(row[name])), ...ratios]);
  }
  printTable(rows);
  console.log("\nEach figure: median of the rounds (least to most). Ratios are ours to theirs, of the medians.\n");
  for (const { what, figure, limit, bound, met } of targets) {
    console.log(`${met ? "met   " : "MISSED"} ${what}: ${figure.toFixed(2)}, ${bound} ${limit}`);
  }
  printPrimitives(primitives);
  console.log(`\nprotocol and noble, bundled: ${bundle.minifiedBytes} bytes minified, ${bundle.gzippedBytes} gzipped`);
  for (const [provider, what] of Object.entries(held)) {
    for (const [name, { javascriptBytes, residentBytes }] of Object.entries(what)) {
      const bytes = `${Math.round(javascriptBytes)} bytes of JavaScript, ${Math.round(residentBytes)} resident`;
      console.log(`held by the core for one ${name}, ${provider}: ${bytes}`);
    }
  }
}

/** @param {import("./primitives.mjs").PrimitiveTable} table */
function printPrimitives(table) {
  const operations = [...new Set(Object.values(table).flatMap((row) => Object.keys(row)))];
  const rows = [["one primitive, us of one thread", ...Object.keys(table)]];
  for (const operation of operations) {
    rows.push([operation, ...Object.values(table).map((row) => row[operation]?.toFixed(2) ?? "")]);
  }
  console.log();
  printTable(rows);
}

/** @param {Results} before @param {Results} now */
export function printComparison(before, now) {
  console.log(`\nours beside the run of ${before.takenAt} (${facts(before.machine)})`);
  const rows = [["", "then", "now", "now / then", "the ratio to TLS, now / then", ""]];
  for (const { title, before: old, now: current, change, ratioChange, apart } of compareResults(before, now)) {
    const verdict = apart ? "" : "spreads overlap";
    rows.push([title, digits(old), digits(current), change.toFixed(2), ratioChange?.toFixed(2) ?? "", verdict]);
  }
  printTable(rows);
}

/** @param {Record<string, unknown>} values */
function facts(values) {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** @param {Summary | undefined} ours @param {Summary | undefined} theirs */
function ratio(ours, theirs) {
  return ours === undefined || theirs === undefined || theirs.median === 0
    ? ""
    : (ours.median / theirs.median).toFixed(2);
}

/** @param {Summary | undefined} summary */
function format(summary) {
  if (summary === undefined) return "";
  const { median, min, max } = summary;
  return min === max ? digits(median) : `${digits(median)} (${digits(min)} to ${digits(max)})`;
}

/** @param {number} value */
function digits(value) {
  return value.toFixed(value < 100 ? 1 : 0);
}

/** @param {readonly (readonly string[])[]} rows the first is the head */
function printTable(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}
