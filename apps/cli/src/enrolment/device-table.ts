import { usage } from "../failure.ts";

/** A line of a file for --from-csv. */
export interface TableRow {
  /** Counts from 1, the heading included: where an editor shows it. */
  readonly line: number;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly tags: readonly string[];
  /** In the grammar of --psk: a key that is brought along. */
  readonly key: string | undefined;
}

const COLUMNS = ["id", "name", "tags", "key"] as const;
type Column = (typeof COLUMNS)[number];

/** Longer tables are several files. */
const MOST_ROWS = 100_000;

/**
 * Reads comma-separated values (RFC 4180) with the columns id, name, tags and key, in the order that a heading gives, else in that one.
 * Tags are separated by spaces. Throws with exit code 2, naming file, line and column.
 */
export function parseDeviceTable(text: string, file: string): readonly TableRow[] {
  const lines = records(text.replace(/^\uFEFF/, ""), file);
  const heading = headingOf(lines[0]?.cells, file);
  const columns = heading ?? COLUMNS;
  const rows = (heading === undefined ? lines : lines.slice(1)).map(({ line, cells }) =>
    toRow(line, cells, columns, file),
  );
  if (rows.length === 0) throw usage(`${file}: it has no devices; write a line for each: id,name,tags`);
  if (rows.length > MOST_ROWS)
    throw usage(`${file}: it has ${rows.length} devices; give at most ${MOST_ROWS} in one file`);
  refuseDoubles(rows, file);
  return rows;
}

function headingOf(cells: readonly string[] | undefined, file: string): readonly Column[] | undefined {
  if (cells?.[0] === undefined || !cells.some((cell) => cell.trim().toLowerCase() === "id")) return undefined;
  return cells.map((cell) => {
    const name = cell.trim().toLowerCase();
    const column = COLUMNS.find((each) => each === name);
    if (column === undefined)
      throw usage(`${file}, line 1: there is no column "${cell}"; the columns are ${COLUMNS.join(", ")}`);
    return column;
  });
}

function toRow(line: number, cells: readonly string[], columns: readonly Column[], file: string): TableRow {
  if (cells.length > columns.length) {
    throw usage(
      `${file}, line ${line}: it has ${cells.length} columns, and ${columns.length} are known (${columns.join(", ")}); put text with commas in quotes`,
    );
  }
  const cell = (column: Column): string | undefined => {
    const text = cells[columns.indexOf(column)]?.trim();
    return text === undefined || text === "" ? undefined : text;
  };
  return { line, id: cell("id"), name: cell("name"), tags: cell("tags")?.split(/\s+/) ?? [], key: cell("key") };
}

function refuseDoubles(rows: readonly TableRow[], file: string): void {
  const lines = new Map<string, number>();
  for (const { id, line } of rows) {
    if (id === undefined) continue;
    const first = lines.get(id.toLowerCase());
    if (first !== undefined)
      throw usage(`${file}, line ${line}: device ${id} stands in line ${first} already; take one of them out`);
    lines.set(id.toLowerCase(), line);
  }
}

interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
}

/** Lines to cells; empty lines and lines that begin with # are left out. */
function records(text: string, file: string): readonly CsvRecord[] {
  const found: CsvRecord[] = [];
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    if (raw.trim() === "" || raw.startsWith("#")) continue;
    found.push({ line: index + 1, cells: cellsOf(raw, `${file}, line ${index + 1}`) });
  }
  return found;
}

/** A quoted cell may hold commas and doubled quotes; no line break, because no field here has one. */
function cellsOf(raw: string, where: string): readonly string[] {
  const cells: string[] = [];
  let rest = raw;
  for (;;) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*(,|$)/.exec(rest);
    const plain = quoted ?? /^([^",]*)(,|$)/.exec(rest);
    if (plain === null)
      throw usage(`${where}: a quote stands inside a cell or is not closed; write "" for a quote within quotes`);
    const [whole, cell = "", separator] = plain;
    cells.push(quoted === null ? cell : cell.replaceAll('""', '"'));
    if (separator !== ",") return cells;
    rest = rest.slice(whole.length);
  }
}
