/** What a terminal, a page or an editor could take for more than text; JSON.stringify leaves DEL, C1 and formats as they are. */
const UNPRINTABLE = /[\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{C}/gu;

/** JSON in one line of printable characters, with its end. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value).replaceAll(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, unit) => escapeUnit(character.charCodeAt(unit))).join(""),
  );
  return `${text}\n`;
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}
