import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { GatewayError } from "../errors.ts";
import type { Actor, WallMs } from "../records.ts";
import type { WallClock } from "../time/wall-clock.ts";
import type { ChangeRunner, ChangeScope } from "./change-runner.ts";
import type { Database, Tables } from "./schema.ts";

/** viewer: reads state. operator: messages, sends, suspends too. admin: keys, tokens, backups too. */
const ROLES = ["viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

export interface TokenRecord {
  /** 12 hex digits: names the token, opens nothing. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: WallMs;
  readonly expiresAt: WallMs | undefined;
  readonly lastUsedAt: WallMs | undefined;
  readonly revokedAt: WallMs | undefined;
}

export interface TokenRequest {
  readonly name: string;
  readonly role: Role;
  /** Undefined: until it is revoked. */
  readonly ttlMs: number | undefined;
}

/** What a text that claims to be a token is. Unknown: no token of ours, or the secret is wrong; nothing tells which. */
export type TokenProof =
  | { readonly state: "good" | "expired" | "revoked"; readonly token: TokenRecord }
  | { readonly state: "unknown" };

interface Entry {
  record: TokenRecord;
  readonly hash: Uint8Array;
  usedSince: boolean;
}

const PREFIX = "usmp";
/** 6 bytes of name; 32 bytes of secret in base64url. The prefix lets searches for leaked secrets find it. */
const FORM = /^usmp_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;
const MOST_TOKENS = 1_000;

/**
 * Tokens of the HTTP API. What is stored is SHA-256 of the secret: with 256 random bits there is nothing to guess, so a slow hash would
 * only slow the gateway down. The look-up goes by the token's public name, and the digests are compared in constant time, an unknown
 * name's with a digest that nobody has.
 */
export class TokenStore {
  readonly #db: Database;
  readonly #runner: ChangeRunner;
  readonly #wallClock: WallClock;
  #entries: Map<string, Entry> = new Map();
  readonly #listeners: Set<(id: string) => void> = new Set();
  readonly #decoy: Uint8Array = randomBytes(32);

  constructor(db: Database, runner: ChangeRunner, wallClock: WallClock) {
    this.#db = db;
    this.#runner = runner;
    this.#wallClock = wallClock;
  }

  /** Reads the tokens anew; those that are good no more are told of. */
  async load(): Promise<void> {
    const rows = await this.#db.selectFrom("tokens").selectAll().execute();
    const before = this.#entries;
    this.#entries = new Map(rows.map((row) => [row.id, entryOf(row)]));
    for (const [id, { record }] of before) {
      if (record.revokedAt === undefined && this.#entries.get(id)?.record.revokedAt !== undefined) this.#tell(id);
    }
  }

  /** In the order in which they were made. */
  list(): readonly TokenRecord[] {
    return [...this.#entries.values()].map(({ record }) => record).sort((a, b) => a.createdAt - b.createdAt);
  }

  /** Makes a token. Its text is known nowhere else: shown once, never stored. */
  async add({ name, role, ttlMs }: TokenRequest, actor: Actor): Promise<{ record: TokenRecord; text: string }> {
    const id = randomBytes(6).toString("hex");
    const secret = randomBytes(32).toString("base64url");
    const hash = digestOf(secret);
    const record = await this.#runner.run(actor, async (scope) => {
      if (this.#entries.size >= MOST_TOKENS) await this.#forgetDead(scope);
      const expiresAt = ttlMs === undefined ? undefined : scope.time + ttlMs;
      const made: TokenRecord = {
        id,
        name,
        role,
        createdAt: scope.time,
        expiresAt,
        lastUsedAt: undefined,
        revokedAt: undefined,
      };
      await scope.sql
        .insertInto("tokens")
        .values({
          id,
          name,
          role,
          hash: Buffer.from(hash),
          created_at: scope.time,
          expires_at: expiresAt ?? null,
          last_used_at: null,
          revoked_at: null,
        })
        .execute();
      scope.audit("token.add", undefined, { token: id, name, role, ...(ttlMs === undefined ? {} : { ttlMs }) });
      scope.onceDurable(() => this.#entries.set(id, { record: made, hash, usedSince: false }));
      return made;
    });
    return { record, text: `${PREFIX}_${id}_${secret}` };
  }

  /** Good no more from this moment on: before that is durable, its streams end. Throws GatewayError "unknown-token". */
  async revoke(id: string, actor: Actor): Promise<TokenRecord> {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      throw new GatewayError(
        "unknown-token",
        `no token ${JSON.stringify(id)}; "usmp token list" shows those there are`,
      );
    }
    if (entry.record.revokedAt !== undefined) return entry.record;
    entry.record = { ...entry.record, revokedAt: this.#wallClock.now() };
    this.#tell(id);
    try {
      await this.#runner.run(actor, async (scope) => {
        await scope.sql.updateTable("tokens").set({ revoked_at: scope.time }).where("id", "=", id).execute();
        scope.audit("token.revoke", undefined, { token: id, name: entry.record.name });
      });
    } catch (error) {
      // It says that it failed, so it must not look done.
      entry.record = { ...entry.record, revokedAt: undefined };
      throw error;
    }
    return entry.record;
  }

  /** Costs the same for a token that is ours and one that is not. */
  prove(text: string): TokenProof {
    const [, id = "", secret = ""] = FORM.exec(text) ?? [];
    const entry = this.#entries.get(id);
    const right = timingSafeEqual(digestOf(secret), entry?.hash ?? this.#decoy);
    if (entry === undefined || !right) return { state: "unknown" };
    const state = this.state(id);
    if (state === "good") {
      entry.record = { ...entry.record, lastUsedAt: this.#wallClock.now() };
      entry.usedSince = true;
    }
    return { state, token: entry.record };
  }

  /** Whether a token that was proven is still good: a clock in doubt ends nothing, as everywhere. */
  state(id: string): "good" | "expired" | "revoked" {
    const record = this.#entries.get(id)?.record;
    if (record === undefined || record.revokedAt !== undefined) return "revoked";
    const over = record.expiresAt !== undefined && record.expiresAt <= this.#wallClock.now();
    return over && this.#wallClock.doubt === undefined ? "expired" : "good";
  }

  /** Called with the id of each token that was revoked. */
  onRevoked(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes when tokens were last used. */
  async flushUse(): Promise<void> {
    const used = [...this.#entries.values()].filter(({ usedSince }) => usedSince);
    if (used.length === 0) return;
    for (const entry of used) entry.usedSince = false;
    await this.#runner.alone(() =>
      this.#db.transaction().execute(async (change) => {
        for (const { record } of used) {
          const { id, lastUsedAt = null } = record;
          await change.updateTable("tokens").set({ last_used_at: lastUsedAt }).where("id", "=", id).execute();
        }
      }),
    );
  }

  /** Room for new ones: what is revoked or expired goes. */
  async #forgetDead(scope: ChangeScope): Promise<void> {
    const dead = [...this.#entries.keys()].filter((id) => this.state(id) !== "good");
    if (dead.length === 0) {
      throw new GatewayError(
        "usage",
        `there are ${MOST_TOKENS} tokens already; revoke some with "usmp token revoke ID"`,
      );
    }
    await scope.sql.deleteFrom("tokens").where("id", "in", dead).execute();
    scope.onceDurable(() => {
      for (const id of dead) this.#entries.delete(id);
    });
  }

  #tell(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }
}

export function isRole(given: unknown): given is Role {
  return ROLES.some((role) => role === given);
}

/** Whether a role may do what another one is needed for. */
export function suffices(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

function digestOf(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

function entryOf(row: Tables["tokens"]): Entry {
  const record = {
    id: row.id,
    name: row.name,
    role: row.role as Role,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    lastUsedAt: row.last_used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  };
  return { record, hash: new Uint8Array(row.hash), usedSince: false };
}
