import { constants, UsageError } from "@usmp/protocol";
import { countLimit } from "../settings.ts";
import type { LinkState, OutboxOptions, ReconnectOptions, WakeSource } from "./api.ts";
import type { BackoffShape } from "./backoff.ts";

/** ReconnectOptions with everything checked and filled in. */
export interface LinkSettings {
  readonly backoff: BackoffShape;
  readonly refusedMaxMs: number;
  readonly stableAfterMs: number;
  readonly deadAfterMs: number;
  readonly giveUpAfter: { readonly attempts: number; readonly ms: number; readonly refusals: number };
  readonly outbox: OutboxLimits;
  readonly resendUnknown: boolean;
  readonly confirm: boolean;
  /** Undefined: the default. */
  readonly wake: readonly WakeSource[] | undefined;
  readonly onState: ((state: LinkState) => void) | undefined;
}

export interface OutboxLimits {
  readonly messages: number;
  readonly bytes: number;
  readonly whenFull: NonNullable<OutboxOptions["whenFull"]>;
}

const POLICIES: readonly OutboxLimits["whenFull"][] = ["drop-oldest", "drop-newest", "refuse"];

/** Throws UsageError "invalid-option". */
export function readReconnectOptions(given: ReconnectOptions): LinkSettings {
  const { backoff = {}, giveUpAfter = {}, wake } = given;
  const initialMs = duration("backoff.initialMs", backoff.initialMs, 5_000);
  const maxMs = duration("backoff.maxMs", backoff.maxMs, Math.max(30_000, initialMs));
  if (maxMs < initialMs) {
    throw invalid("backoff.maxMs", maxMs, `at least backoff.initialMs (${initialMs})`);
  }
  const refusedMaxMs = duration("backoff.refusedMaxMs", backoff.refusedMaxMs, Math.max(300_000, maxMs));
  const factor = backoff.factor ?? 2;
  if (!(Number.isFinite(factor) && factor >= 1)) throw invalid("backoff.factor", factor, "a number of at least 1");
  return {
    backoff: { initialMs, maxMs, factor },
    refusedMaxMs,
    stableAfterMs: duration("stableAfterMs", given.stableAfterMs, 30_000),
    deadAfterMs: duration("deadAfterMs", given.deadAfterMs, 15_000),
    giveUpAfter: {
      attempts: limit("giveUpAfter.attempts", giveUpAfter.attempts),
      ms: giveUpAfter.ms === undefined ? Number.POSITIVE_INFINITY : duration("giveUpAfter.ms", giveUpAfter.ms, 0),
      refusals: limit("giveUpAfter.refusals", giveUpAfter.refusals),
    },
    outbox: readOutboxOptions(given.outbox ?? {}),
    resendUnknown: given.resendUnknown ?? false,
    confirm: given.confirm ?? true,
    wake: wake === undefined ? undefined : sourcesOf(wake),
    onState: given.onState,
  };
}

function readOutboxOptions({ messages, bytes, whenFull = "drop-oldest" }: OutboxOptions): OutboxLimits {
  if (!POLICIES.includes(whenFull)) {
    throw invalid("outbox.whenFull", JSON.stringify(whenFull), POLICIES.map((name) => `"${name}"`).join(", "));
  }
  const limitBytes = countLimit("reconnect.outbox.bytes", bytes, 262_144);
  if (limitBytes < constants.MAX_MESSAGE_LENGTH) {
    throw invalid("outbox.bytes", limitBytes, `at least ${constants.MAX_MESSAGE_LENGTH} (one message)`);
  }
  return { messages: countLimit("reconnect.outbox.messages", messages, 1_000), bytes: limitBytes, whenFull };
}

function sourcesOf(wake: NonNullable<ReconnectOptions["wake"]>): readonly WakeSource[] {
  if (wake === false) return [];
  return Symbol.asyncIterator in wake ? [wake] : wake;
}

function duration(field: string, given: number | undefined, fallback: number): number {
  const value = given ?? fallback;
  if (Number.isFinite(value) && value > 0) return value;
  throw invalid(field, value, "a positive number of milliseconds");
}

function limit(field: string, given: number | undefined): number {
  return given === undefined ? Number.POSITIVE_INFINITY : countLimit(`reconnect.${field}`, given, 0);
}

function invalid(field: string, value: string | number, wanted: string): UsageError {
  return new UsageError("invalid-option", `reconnect.${field} is ${value}; it must be ${wanted}`);
}
