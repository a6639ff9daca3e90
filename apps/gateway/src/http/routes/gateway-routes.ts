import { z } from "zod";
import type { AuditAction, AuditRow } from "../../audit/audit-log.ts";
import type { GatewayStatus, HealthView, TokenView } from "../../control/methods.ts";
import type { OnTheWire, ParamsOf, RoutesOf } from "./route.ts";
import {
  count,
  enrolledDevice,
  exactly,
  milliseconds,
  moment,
  nothing,
  TEN_YEARS_MS,
  text,
  transport,
} from "./shared.ts";

/** Without `to`: that is a path on the gateway's host. */
const rotateMaster = z.strictObject({ graceMs: milliseconds() });
const exportAudit = exactly<ParamsOf<"audit.export">>()(z.strictObject({ from: z.int().min(1).exactOptional() }));
const role = z.enum(["viewer", "operator", "admin"]);
const addToken = exactly<ParamsOf<"token.add">>()(
  z.strictObject({
    name: text(),
    role,
    ttlMs: z.int().min(1_000).max(TEN_YEARS_MS).exactOptional(),
  }),
);
const oneToken = exactly<ParamsOf<"token.revoke">>()(z.strictObject({ token: z.string().regex(/^[0-9a-f]{12}$/) }));
const makeBackup = exactly<ParamsOf<"backup">>()(
  z.strictObject({
    passphrase: z.string().max(1_024).exactOptional(),
    recipient: text().exactOptional(),
  }),
);
const clockDoubt = z.discriminatedUnion("doubt", [
  z.object({ doubt: z.literal("before-build"), buildDate: moment() }),
  z.object({ doubt: z.literal("before-last-run"), lastRunAt: moment() }),
  z.object({ doubt: z.literal("stepped"), byMs: z.number() }),
]);
const masterRotation = z
  .object({
    from: z.string(),
    to: z.string(),
    devices: count(),
    remaining: count(),
    graceEndsAt: z.number().meta({ description: "Milliseconds since 1970." }),
  })
  .meta({ id: "MasterRotation" });
const masterRotated = z.object({ rotation: masterRotation });
const gatewayStatus = exactly<OnTheWire<GatewayStatus>>()(
  z
    .object({
      version: z.string(),
      pid: z.int(),
      startedAt: moment(),
      dev: z.boolean(),
      addresses: z.array(z.object({ transport, host: z.string(), port: z.int() })),
      sessions: count(),
      devices: count(),
      registryAgeMs: count(),
      storage: z.object({
        kind: z.enum(["sqlite", "postgres"]),
        where: z.string(),
        driver: z.string(),
        schema: z.int(),
        devices: count(),
        auditHeadProblem: z.string().exactOptional(),
        problem: z.string().exactOptional(),
      }),
      clock: clockDoubt.nullable(),
      masterSource: z.string(),
      masterExposure: z.string().nullable(),
      masterRotation: masterRotation.nullable(),
    })
    .meta({ id: "GatewayStatus" }),
);
const auditRow = exactly<OnTheWire<AuditRow>>()(
  z
    .object({
      seq: z.int(),
      time: z.number().meta({ description: "Milliseconds since 1970." }),
      // More actions come with later versions: who reads them takes any.
      action: z.string() as unknown as z.ZodType<AuditAction>,
      device: z.string().exactOptional(),
      who: z.string(),
      from: z.string(),
      detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
      masterId: z.string(),
      mac: z.string(),
    })
    .meta({ id: "AuditRow" }),
);
const auditVerdict = z
  .union([
    z.object({ ok: z.literal(true), rows: count(), head: z.string() }),
    z.object({
      ok: z.literal(false),
      seq: z.int(),
      problem: z.enum(["changed", "gap", "cut", "recomputed", "head-missing", "head-forged"]),
      says: z.string(),
    }),
  ])
  .meta({ id: "AuditVerdict" });
const token = exactly<TokenView>()(
  z
    .object({
      id: z.string(),
      name: z.string(),
      role,
      createdAt: moment(),
      expiresAt: moment().nullable(),
      lastUsedAt: moment().nullable(),
      revoked: z.boolean(),
    })
    .meta({ id: "Token" }),
);
const newToken = token
  .extend({ token: z.string().meta({ description: "The token itself. It is shown nowhere else." }) })
  .meta({ id: "NewToken" });
const health = exactly<HealthView>()(
  z
    .object({
      ready: z.boolean(),
      checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
    })
    .meta({ id: "Health" }),
);
const backupPiece = z.object({ data: z.string().meta({ description: "base64." }) }).meta({ id: "BackupPiece" });

const NEXT_SEQ = { param: "from", next: ({ seq }: { seq: number }) => seq + 1 } as const;

export const GATEWAY_ROUTES: RoutesOf<
  | "gateway.status"
  | "gateway.health"
  | "master.rotate"
  | "audit.verify"
  | "audit.accept"
  | "audit.export"
  | "clock.confirm"
  | "token.add"
  | "token.list"
  | "token.revoke"
  | "backup"
> = {
  "gateway.status": {
    verb: "GET",
    path: "/v1/status",
    role: "viewer",
    summary: "Version, addresses, storage, clock and master of the gateway",
    params: nothing,
    result: gatewayStatus,
  },
  "gateway.health": {
    verb: "GET",
    path: "/v1/health",
    role: "viewer",
    summary: "Whether it is ready, and each check with its reason",
    params: nothing,
    result: health,
  },
  "master.rotate": {
    verb: "POST",
    path: "/v1/master/rotate",
    role: "admin",
    summary: "Move the fleet to a new master secret; every derived key's successor is in the answer and nowhere else",
    params: rotateMaster,
    item: enrolledDevice.or(masterRotated),
  },
  "audit.verify": {
    verb: "GET",
    path: "/v1/audit/verdict",
    role: "admin",
    summary: "Whether no row of the audit was changed, taken out or cut off",
    params: nothing,
    result: auditVerdict,
  },
  "audit.accept": {
    verb: "POST",
    path: "/v1/audit/accept",
    role: "admin",
    summary: "Go on after anomalies that were looked into",
    params: nothing,
    result: auditVerdict,
  },
  "audit.export": {
    verb: "GET",
    path: "/v1/audit",
    role: "admin",
    summary: "The rows of the audit, in order",
    params: exportAudit,
    item: auditRow,
    paging: NEXT_SEQ,
  },
  "clock.confirm": {
    verb: "POST",
    path: "/v1/clock/confirm",
    role: "admin",
    summary: "Vouch for the gateway's present time",
    params: nothing,
    result: nothing,
  },
  "token.add": {
    verb: "POST",
    path: "/v1/tokens",
    role: "admin",
    summary: "Make a token, which is in the answer and nowhere else",
    params: addToken,
    result: newToken,
  },
  "token.list": {
    verb: "GET",
    path: "/v1/tokens",
    role: "admin",
    summary: "The tokens, without their secrets",
    params: nothing,
    item: token,
    paging: "place",
  },
  "token.revoke": {
    verb: "POST",
    path: "/v1/tokens/{token}/revoke",
    role: "admin",
    summary: "End a token and its live streams at once",
    params: oneToken,
    result: token,
  },
  backup: {
    verb: "POST",
    path: "/v1/backup",
    role: "admin",
    summary: "A sealed backup",
    params: makeBackup,
    item: backupPiece,
    file: true,
  },
};
