/** Prints results for people. */
import { MEASURES } from "./rounds.mjs";

/**
 * @typedef {import("./contenders.mjs").Name} Name
 * @typedef {{ median: number, min: number, max: number }} Summary
 * @typedef {object} Results
 * @property {Record<string, unknown>} machine
 * @property {Record<string, unknown>} tls what TLS agreed on
 * @property {Readonly<Record<Name, string>>} titles
 * @property {Record<string, Partial<Record<Name, Summary>>>} figures by measure
 * @property {Record<string, number>} ratios ours to TLS's, by measure; of the medians
 * @property {readonly { what: string, figure: number, limit: number, met: boolean }[]} targets
 * @property {{ minifiedBytes: number, gzippedBytes: number }} bundle
 * @property {Record<string, Record<string, { javascriptBytes: number, residentBytes: number }>>} held
 */

/** @param {Results} results */
export function printReport({ machine, tls, titles, figures, ratios, targets, bundle, held }) {
  console.log(
    Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(", "),
  );
  console.log(
    `TLS agreed on ${Object.entries(tls)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ")}\n`,
  );

  const names = /** @type {Name[]} */ (Object.keys(titles));
  const rows = [["of the server process", "unit", ...names.map((name) => titles[name]), "ours / TLS"]];
  for (const [name, { title, unit }] of Object.entries(MEASURES)) {
    const row = figures[name] ?? {};
    rows.push([title, unit, ...names.map((contender) => format(row[contender])), ratios[name]?.toFixed(2) ?? ""]);
  }
  printTable(rows);

  console.log("\nEach figure: median of the rounds (least to most).");
  for (const { what, figure, limit, met } of targets) {
    console.log(`${met ? "met   " : "MISSED"} ${what}: ${figure.toFixed(2)}, at most ${limit}`);
  }
  console.log(`\nprotocol and noble, bundled: ${bundle.minifiedBytes} bytes minified, ${bundle.gzippedBytes} gzipped`);
  for (const [provider, what] of Object.entries(held)) {
    for (const [name, { javascriptBytes, residentBytes }] of Object.entries(what)) {
      const bytes = `${Math.round(javascriptBytes)} bytes of JavaScript, ${Math.round(residentBytes)} resident`;
      console.log(`held by the core for one ${name}, ${provider}: ${bytes}`);
    }
  }
}

/** @param {Summary | undefined} summary */
function format(summary) {
  if (summary === undefined) return "";
  const { median, min, max } = summary;
  return [`${digits(median)}`, `(${digits(min)} to ${digits(max)})`].join(" ");
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
