/** Two runs beside each other: `--compare old.json`. */
import { readFileSync } from "node:fs";
import { MEASURES } from "./measures.mjs";

/** @typedef {import("./report.mjs").Results} Results */

/** @param {string} file @returns {Results} */
export function readResults(file) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(
      `--compare ${file}: ${error instanceof Error ? error.message : error}; give a file that --json wrote`,
    );
  }
  if (results?.figures?.handshake === undefined && results?.figures?.echo64x8 === undefined) {
    throw new Error(`--compare ${file}: it holds no figures of this bench; give a file that --json wrote`);
  }
  return results;
}

/**
 * Ours then and now, and our ratio to TLS then and now: the second is worth more, as the machine cancels out.
 * @param {Results} before
 * @param {Results} now
 * @returns {{ measure: string, title: string, before: number, now: number, change: number, ratioChange: number | undefined, apart: boolean }[]}
 */
export function compareResults(before, now) {
  return Object.entries(MEASURES).flatMap(([measure, { title }]) => {
    const [old, current] = [before.figures[measure]?.usmp, now.figures[measure]?.usmp];
    if (old === undefined || current === undefined) return [];
    const ratio = (/** @type {Results} */ { figures }) => {
      const { usmp, tls } = figures[measure] ?? {};
      return usmp && tls ? usmp.median / tls.median : undefined;
    };
    const [oldRatio, newRatio] = [ratio(before), ratio(now)];
    return [
      {
        measure,
        title,
        before: old.median,
        now: current.median,
        change: current.median / old.median,
        ratioChange: oldRatio === undefined || newRatio === undefined ? undefined : newRatio / oldRatio,
        // Spreads that overlap say nothing.
        apart: current.min > old.max || current.max < old.min,
      },
    ];
  });
}
