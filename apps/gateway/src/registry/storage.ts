import type { Database } from "./schema.ts";

/** A database that this process alone changes. */
export interface Storage {
  readonly kind: "sqlite" | "postgres";
  /** A path, or a URL without user and password. */
  readonly where: string;
  readonly driver: string;
  /** True when it lies on this host. */
  readonly local: boolean;
  readonly db: Database;
  /**
   * Before a change: cheap. Answers true when the database is ours anew: another process may have changed it meanwhile. Rejects with
   * GatewayError when it is gone, is another one, or belongs to another process.
   */
  ensureOwned(): Promise<boolean>;
  /** Rejects when the database does not answer. */
  check(): Promise<void>;
  /** Keeps what is there now, for a way back. */
  copyBeforeMigration(schema: number): Promise<void>;
  close(): Promise<void>;
}
