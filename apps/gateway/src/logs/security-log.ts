import { addMs } from "@usmp/protocol";
import type { Clock } from "usmp";
import type { AuditRow } from "../audit/audit-log.ts";
import { GatewayError } from "../errors.ts";
import { jsonLine } from "../files/json-line.ts";
import { LineFile } from "../files/line-file.ts";
import { messageOf } from "../master/secret-file.ts";
import { formatTime } from "../records.ts";
import type { Registry } from "../registry/registry.ts";

export interface SecurityLogParts {
  readonly path: string;
  readonly registry: Pick<Registry, "audit" | "setting" | "putSetting">;
  readonly clock: Clock;
  /** Hears when it cannot be written, and when it can again. */
  readonly onTrouble: (message: string) => void;
}

/** How often it is looked whether there is something to write: a comparison of two numbers. */
const LOOK_MS = 1_000;
const ROWS_AT_ONCE = 500;
/** Where it got to; the file may have been rotated away. */
const POSITION = "security-log";

/**
 * A copy of the audit in a file of its own, as `usmp audit export` prints it, a second behind at most: what was done to keys and tokens, by whom,
 * and who was refused. It is read from the audit, so what cannot be written now (a full disk, the database away) is written later, and nothing
 * is lost: at worst, rows around a crash are there twice, and `seq` tells.
 */
export class SecurityLog {
  readonly #parts: SecurityLogParts;
  readonly #file: LineFile;
  #written: number;
  #troubled = false;
  #work: Promise<void> | undefined;
  #cancel: () => void = () => {};
  #closed = false;

  private constructor(parts: SecurityLogParts, file: LineFile, written: number) {
    this.#parts = parts;
    this.#file = file;
    this.#written = written;
  }

  /** Rejects with GatewayError "usage" when the file cannot be opened. */
  static async open(parts: SecurityLogParts): Promise<SecurityLog> {
    const file = new LineFile(parts.path);
    try {
      await file.open();
      const written = Math.max(
        seqOf(await file.lastLine()),
        positionOf(await parts.registry.setting(POSITION), parts.path),
      );
      const log = new SecurityLog(parts, file, written);
      log.#schedule();
      return log;
    } catch (error) {
      await file.close().catch(() => {});
      throw new GatewayError("usage", `the security log ${parts.path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Writes what is there, once; then it ends. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#work;
    await this.#writeNew();
    await this.#file.close().catch(() => {});
  }

  #schedule(): void {
    const { clock } = this.#parts;
    this.#cancel = clock.schedule(addMs(clock.now(), LOOK_MS), () => {
      this.#work = this.#writeNew().then(() => {
        this.#work = undefined;
        if (!this.#closed) this.#schedule();
      });
    });
  }

  /** Never rejects: what fails is tried again with the next look. */
  async #writeNew(): Promise<void> {
    const { registry, path } = this.#parts;
    const head = registry.audit.headSeq;
    if (this.#written > head) {
      this.#parts.onTrouble(
        `is ahead of the audit (row ${this.#written} of ${head}): a backup was restored; it goes on with new rows`,
      );
      this.#written = head;
    }
    if (this.#written === head) return;
    try {
      let rows: AuditRow[] = [];
      for await (const row of registry.audit.rows(this.#written + 1)) {
        rows.push(row);
        if (rows.length < ROWS_AT_ONCE) continue;
        await this.#append(rows);
        rows = [];
      }
      await this.#append(rows);
      await registry.putSetting(POSITION, JSON.stringify({ path, seq: this.#written }));
      if (this.#troubled) this.#parts.onTrouble("is written again, and nothing is missing");
      this.#troubled = false;
    } catch (error) {
      if (!this.#troubled) this.#parts.onTrouble(`cannot be written, and is later: ${messageOf(error)}`);
      this.#troubled = true;
    }
  }

  async #append(rows: readonly AuditRow[]): Promise<void> {
    const last = rows.at(-1);
    if (last === undefined) return;
    await this.#file.append(rows.map(lineOf).join(""));
    this.#written = last.seq;
  }
}

function lineOf({ time, seq, device, ...rest }: AuditRow): string {
  return jsonLine({ time: formatTime(time), event: "audit", seq, ...rest, device: device ?? null });
}

/** Of a line of ours; 0 when there is none. */
function seqOf(line: string | undefined): number {
  if (line === undefined) return 0;
  const { seq } = JSON.parse(line) as { readonly seq?: unknown };
  if (typeof seq === "number") return seq;
  throw new Error("it ends with a line that is none of a security log; give another path");
}

function positionOf(setting: string | undefined, path: string): number {
  if (setting === undefined) return 0;
  const known = JSON.parse(setting) as { readonly path: string; readonly seq: number };
  return known.path === path ? known.seq : 0;
}
