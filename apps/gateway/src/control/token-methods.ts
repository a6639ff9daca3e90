import { GatewayError } from "../errors.ts";
import { formatTime } from "../records.ts";
import { isRole, type TokenRecord } from "../registry/token-store.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import type { TokenView } from "./methods.ts";
import { nameOf } from "./params.ts";

/** Ten years: longer is for ever, which is said by leaving it out. */
const LONGEST_TTL_MS = 3_653 * 86_400_000;

/** Tokens of the HTTP API. */
export function tokenMethods({ opened }: ControlContext): MethodHandlers {
  const { tokens } = opened;
  return {
    "token.add": async ({ name, role, ttlMs }, actor) => {
      const named = nameOf(name);
      if (named === undefined)
        throw new GatewayError("usage", "the token's name is missing; name who or what will use it");
      if (!isRole(role)) {
        throw new GatewayError("usage", `role ${JSON.stringify(role)}: write viewer, operator or admin`);
      }
      if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs >= 1_000 && ttlMs <= LONGEST_TTL_MS)) {
        throw new GatewayError(
          "usage",
          "the time to live is not between 1 s and 10 years; leave it out for a token without an end",
        );
      }
      const { record, text } = await tokens.add({ name: named, role, ttlMs }, actor);
      return { ...tokenView(record), token: text };
    },
    "token.list": async function* () {
      for (const record of tokens.list()) yield tokenView(record);
    },
    "token.revoke": async ({ token }, actor) => {
      if (typeof token !== "string") throw new GatewayError("usage", "the token's id is missing");
      return tokenView(await tokens.revoke(token, actor));
    },
  };
}

function tokenView({ id, name, role, createdAt, expiresAt, lastUsedAt, revokedAt }: TokenRecord): TokenView {
  const time = (at: number | undefined): string | null => (at === undefined ? null : formatTime(at));
  return {
    id,
    name,
    role,
    createdAt: formatTime(createdAt),
    expiresAt: time(expiresAt),
    lastUsedAt: time(lastUsedAt),
    revoked: revokedAt !== undefined,
  };
}
