/** Hex digits as the initializer of a C array: eight bytes a line. */
export function cBytes(digits: string, indent: string): string {
  const bytes = digits.match(/../g) ?? [];
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += 8) {
    lines.push(
      bytes
        .slice(start, start + 8)
        .map((byte) => `0x${byte},`)
        .join(" "),
    );
  }
  return `{\n${lines.map((line) => `${indent}${line}`).join("\n")}\n}`;
}

export const BENCH_ONLY = "BENCH ONLY: the key stands in this file and in every binary made from it. Never ship it.";
