import { gunzipSync, gzipSync } from "node:zlib";
import { GatewayError } from "../errors.ts";
import { SCHEMA } from "../registry/migrate.ts";
import type { Tables } from "../registry/schema.ts";

/** Tables that a backup holds. Refused attempts and strangers are not among them. */
const TABLES = ["meta", "masters", "devices", "device_keys", "dead_keys", "tombstones", "audit"] as const;
type BackedTable = (typeof TABLES)[number];
export type BackupRows = { readonly [T in BackedTable]: Tables[T][] };

export interface BackupHeader {
  readonly format: "usmp backup 1";
  /** RFC 3339. */
  readonly madeAt: string;
  readonly masterId: string;
  /** The registry's schema that the rows are of. */
  readonly schema: number;
  /** 64 hex digits; undefined when the master's source is not a file of the gateway's own. */
  readonly master: string | undefined;
}

/** What stands inside the seal: gzipped lines of JSON, the header first; bytes are {"$": base64}. */
export interface BackupContent {
  readonly header: BackupHeader;
  readonly rows: BackupRows;
}

/** The most that a backup may unpack to: 100,000 devices with their audit are a tenth of it. */
const MOST_BYTES = 1_073_741_824;

export function encodeContent({ header, rows }: BackupContent): Uint8Array {
  const lines = [JSON.stringify(header)];
  for (const table of TABLES) for (const row of rows[table]) lines.push(JSON.stringify([table, toPlainRow(row)]));
  const text = Buffer.from(`${lines.join("\n")}\n`);
  const packed = gzipSync(text);
  text.fill(0);
  return packed;
}

/** Throws GatewayError "damaged" for anything else than encodeContent() gives. */
export function decodeContent(packed: Uint8Array): BackupContent {
  let lines: unknown[];
  try {
    const text = gunzipSync(packed, { maxOutputLength: MOST_BYTES });
    lines = text
      .toString("utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line, reviveBytes) as unknown);
    text.fill(0);
  } catch (error) {
    throw new GatewayError("damaged", "the backup opens, but what is in it cannot be read", { cause: error });
  }
  const [header, ...entries] = lines;
  const { format, schema } = (header ?? {}) as { format?: unknown; schema?: unknown };
  if (format !== "usmp backup 1") {
    throw new GatewayError(
      "damaged",
      `the backup is of a format that this version of usmp does not know (${String(format)})`,
    );
  }
  if (typeof schema !== "number" || schema > SCHEMA) {
    throw new GatewayError(
      "newer-schema",
      `the backup was made by a newer version of usmp (schema ${String(schema)}, and this version knows ${SCHEMA}); restore it with that version`,
    );
  }
  const rows = Object.fromEntries(TABLES.map((table) => [table, [] as unknown[]])) as Record<string, unknown[]>;
  for (const entry of entries as [string, unknown][]) {
    const table = rows[entry[0]];
    if (table === undefined)
      throw new GatewayError(
        "damaged",
        `the backup has rows of a table that this version of usmp does not know (${entry[0]})`,
      );
    table.push(entry[1]);
  }
  return { header: header as BackupHeader, rows: rows as unknown as BackupRows };
}

/** Rows as both databases give them, with bytes in a form that JSON takes. */
function toPlainRow<T extends object>(row: T): T {
  const entries = Object.entries(row).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? { $: Buffer.from(value).toString("base64") } : value,
  ]);
  return Object.fromEntries(entries) as T;
}

function reviveBytes(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("$" in value)) return value;
  return Buffer.from(String(value.$), "base64");
}

export function backedTables(): readonly BackedTable[] {
  return TABLES;
}
