/** A table that is written many rows at a time: its columns in order, and what they hold. */
export interface WideTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, "integer" | "text" | "blob">>;
}

export type Value = number | string | Uint8Array | null;

/** Rows in the order of the table's columns. */
export type Rows = readonly (readonly Value[])[];
