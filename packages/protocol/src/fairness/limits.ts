import { UsageError } from "../errors.ts";

/**
 * What a server lets others cost it. Every limit is a whole number, at least 1; docs/limits.md says why each has its default, and under
 * which name the server's statistics count when it bites.
 */
export interface Limits {
  /** Sessions at once, all transports together. Looked at before SESSION_OK; a device that replaces its own session always fits. */
  readonly sessions: number;
  /** Sessions of one device that have not yet shown that they hold the session's keys; the oldest gives way. */
  readonly unprovenSessionsPerDevice: number;
  /** Handshakes under way at once, per transport; when they are used up, one of the source that has the most gives way. */
  readonly handshakes: number;
  /** Of those, from one source (an IPv4 address or an IPv6 /64); its oldest gives way. */
  readonly handshakesPerSource: number;
  /** Of `handshakes`, kept for devices that proved themselves lately at the address from which they come. */
  readonly reservedHandshakes: number;
  /** How long a handshake may take at most once half of `handshakes` is used. Milliseconds. */
  readonly scarceHandshakeMs: number;
  /** The same once all are used; in between it shrinks evenly. Milliseconds. */
  readonly shortestHandshakeMs: number;
  /** Handshakes begun per second by sources at which no device has proved itself lately, all together. Half of it is for everybody. */
  readonly newcomersPerSecond: number;
  /** Of the other half, what one source may take in a second. */
  readonly newcomersPerSourcePerSecond: number;
  /** The same, at once after a quiet time. */
  readonly newcomersPerSourceBurst: number;
  /** Beyond both: handshakes per second of devices that were not answered within the last second. */
  readonly overdueNewcomersPerSecond: number;
  /** HELLO_RETRYs per second, all sources together. A quarter as many more are kept for sources where a device proved itself lately. */
  readonly cookiesPerSecond: number;
  /** Wrong proofs checked per second beyond the first eight of each handshake over UDP, all handshakes together. */
  readonly wrongProofsPerSecond: number;
  /** Pairs of device and address that are remembered as proven. */
  readonly provenPairs: number;
  /** For how long. Milliseconds. */
  readonly provenMs: number;
  /** Sources, and pairs of device and source, whose recent handshakes are counted. */
  readonly countedSources: number;
  /** Refusals per second that are reported one by one, at most; the rest are only counted. */
  readonly reportedRefusalsPerSecond: number;
}

export const DEFAULT_LIMITS: Limits = {
  sessions: 20_000,
  unprovenSessionsPerDevice: 4,
  handshakes: 1_024,
  handshakesPerSource: 512,
  reservedHandshakes: 256,
  scarceHandshakeMs: 5_000,
  shortestHandshakeMs: 1_000,
  newcomersPerSecond: 2_000,
  newcomersPerSourcePerSecond: 20,
  newcomersPerSourceBurst: 100,
  overdueNewcomersPerSecond: 1_000,
  cookiesPerSecond: 20_000,
  wrongProofsPerSecond: 4_000,
  provenPairs: 32_768,
  provenMs: 86_400_000,
  countedSources: 4_096,
  reportedRefusalsPerSecond: 100,
};

/** Checks limits once, at the edge; what is missing takes its default. Throws UsageError "invalid-option", with the field's name. */
export function parseLimits(given: { readonly [Key in keyof Limits]?: number | undefined } = {}): Limits {
  const limits: Record<string, number> = { ...DEFAULT_LIMITS };
  for (const [name, value] of Object.entries(given)) {
    if (!(name in DEFAULT_LIMITS)) throw invalid(`limits.${name} is not a limit; see docs/limits.md for their names`);
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < 1) {
      throw invalid(`limits.${name} is ${value}; it must be a whole number, at least 1`);
    }
    limits[name] = value;
  }
  const parsed = limits as unknown as Limits;
  // A small server that names only its handshakes must not have to name their shares as well.
  return given.reservedHandshakes === undefined
    ? { ...parsed, reservedHandshakes: Math.min(parsed.reservedHandshakes, Math.floor(parsed.handshakes / 4)) }
    : checkReserve(parsed);
}

/**
 * A part of the limits, for one of `parts` processes behind one port. What counts per second and what counts places is divided and
 * rounded up, so that together they allow no less; what is remembered and how long a handshake may take stays whole. Sessions are not
 * divided here: they are counted for all.
 */
export function divideLimits(limits: Limits, parts: number): Limits {
  const part = (name: keyof Limits): number => Math.ceil(limits[name] / parts);
  const handshakes = Math.max(2, part("handshakes"));
  return {
    ...limits,
    handshakes,
    handshakesPerSource: part("handshakesPerSource"),
    reservedHandshakes: Math.max(1, Math.min(part("reservedHandshakes"), handshakes - 1)),
    newcomersPerSecond: part("newcomersPerSecond"),
    newcomersPerSourcePerSecond: part("newcomersPerSourcePerSecond"),
    newcomersPerSourceBurst: part("newcomersPerSourceBurst"),
    overdueNewcomersPerSecond: part("overdueNewcomersPerSecond"),
    cookiesPerSecond: part("cookiesPerSecond"),
    wrongProofsPerSecond: part("wrongProofsPerSecond"),
    reportedRefusalsPerSecond: part("reportedRefusalsPerSecond"),
  };
}

function checkReserve(limits: Limits): Limits {
  if (limits.reservedHandshakes < limits.handshakes) return limits;
  throw invalid(
    `limits.reservedHandshakes is ${limits.reservedHandshakes}; it must be less than limits.handshakes (${limits.handshakes}), or nobody new could come in`,
  );
}

function invalid(message: string): UsageError {
  return new UsageError("invalid-option", message);
}
