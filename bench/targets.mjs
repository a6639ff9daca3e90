/** What the project has set itself for its server: ratios of medians in one run, of CPU time of the server's process. */
import { MEASURES } from "./measures.mjs";

/** @typedef {import("./contenders.mjs").Name} Name */
/** @typedef {import("./statistics.mjs").Summary} Summary */
/** @typedef {Record<string, Partial<Record<Name, Summary>>>} FigureTable by measure, by contender */

/** `to` undefined: the figure itself. @type {readonly { measure: string, to?: Name, limit: number }[]} */
const TARGETS = [
  ...["echo64x8", "echo452x8"].flatMap((measure) => [
    { measure, to: /** @type {const} */ ("tls"), limit: 0.8 },
    { measure, to: /** @type {const} */ ("mosquitto"), limit: 0.75 },
    { measure, to: /** @type {const} */ ("plain"), limit: 1.5 },
  ]),
  { measure: "handshake", to: "tls", limit: 0.36 },
  { measure: "handshake", to: "mosquitto", limit: 1 },
  { measure: "streamOut1808", to: "tls", limit: 1 },
  ...["udp64", "udp452"].flatMap((measure) => [
    { measure, to: /** @type {const} */ ("python"), limit: 0.25 },
    { measure, to: /** @type {const} */ ("plain"), limit: 2.5 },
  ]),
  { measure: "idle", limit: 8 },
  // Ten thousand of them: less than a thousandth of a core is nothing that can be told from the process's own.
  { measure: "idleCpu", limit: 1 },
  { measure: "p99", to: "tls", limit: 1 },
];

/**
 * @typedef {{ what: string, figure: number, limit: number, bound: "at most" | "at least", met: boolean }} Verdict
 * @param {FigureTable} figures
 * @returns {Verdict[]} of those that were measured
 */
export function verdicts(figures) {
  return TARGETS.flatMap(({ measure, to, limit }) => {
    const ours = figures[measure]?.usmp?.median;
    const theirs = to === undefined ? 1 : figures[measure]?.[to]?.median;
    const known = MEASURES[measure];
    if (ours === undefined || theirs === undefined || known === undefined) return [];
    const figure = ours / theirs;
    const more = known.better === "more";
    const what = `${known.title}, ${to === undefined ? known.unit : `ratio to ${to}`}`;
    return [
      { what, figure, limit, bound: more ? "at least" : "at most", met: more ? figure >= limit : figure <= limit },
    ];
  });
}
