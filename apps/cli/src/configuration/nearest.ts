/** The name that was probably meant; undefined when none is near. `fooBar`, `foo_bar` and `FOO-BAR` are `foo-bar`. */
export function nearest(word: string, names: Iterable<string>): string | undefined {
  const wanted = plain(word);
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of names) {
    const distance = editDistance(wanted, plain(name));
    if (distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { name, distance };
  }
  return best !== undefined && best.distance <= Math.max(1, Math.floor(wanted.length / 3)) ? best.name : undefined;
}

function plain(name: string): string {
  return name
    .slice(0, LONGEST)
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase();
}

/** No name is longer; what a file has may be. */
const LONGEST = 64;

/** Insertions, deletions and replacements of one character, and swaps of two neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [];
  for (let i = 0; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const at = (row: number, column: number): number => rows[row]?.[column] ?? row + column;
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = i === 0 ? j : Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, at(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = cost;
    }
  }
  return (rows[a.length] as number[])[b.length] as number;
}
