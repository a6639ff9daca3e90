/** @typedef {{ median: number, min: number, max: number }} Summary */

/**
 * The middle of some rounds, and how far they lay apart: timings drift, so the median counts and the spread says what it is worth.
 * @param {readonly number[]} values
 * @returns {Summary}
 */
export function summarize(values) {
  const sorted = [...values].sort(ascending);
  return { median: middle(sorted), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** @param {readonly number[]} sorted */
function middle(sorted) {
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
}

/** @param {number} a @param {number} b */
function ascending(a, b) {
  return a - b;
}
