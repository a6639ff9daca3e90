/** A table that is written many rows at a time: its columns in order, and what they hold. */
export interface WideTable {
  readonly name: string;
  /** True: a row whose key is there already is the same row, from a try whose outcome was not known. */
  readonly repeatable?: boolean;
  readonly columns: Readonly<Record<string, "integer" | "text" | "blob">>;
}

export type Value = number | string | Uint8Array | null;

/** Rows in the order of the table's columns. */
export type Rows = readonly (readonly Value[])[];
