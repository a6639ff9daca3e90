/** A connection that could not be made or a port that could not be bound. `code` is the system's, such as "ECONNREFUSED". */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly code: string;

  constructor(code: string, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Says what was tried, what the system answered, and what can be done about it. */
export function transportError(attempt: string, cause: unknown): TransportError {
  const first = firstOf(cause);
  const code = systemCode(first) ?? "unknown";
  const reason = ADVICE[code] ?? (first instanceof Error ? first.message : String(first));
  return new TransportError(code, `${attempt}: ${reason} (${code})`, cause);
}

/** The system's code of an error, such as "ECONNRESET"; undefined when it has none. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** When a name has several addresses and none answers, Node gives all failures at once: the first is the preferred one's. */
function firstOf(cause: unknown): unknown {
  return cause instanceof AggregateError && cause.errors.length > 0 ? cause.errors[0] : cause;
}

const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there; check that the server runs and that the port is right",
  ETIMEDOUT: "no answer; check the address, and that no firewall is in the way",
  EHOSTUNREACH: "no way to that host; check the address and this host's network",
  ENETUNREACH: "no way to that network; check the address and this host's network",
  ENOTFOUND: "no such host; check the name",
  EAI_AGAIN: "the name could not be looked up; check this host's name service",
  EADDRINUSE: "the port is taken; stop what listens there, or choose another port (0 for a free one)",
  EADDRNOTAVAIL: "this host has no such address; choose one of its own, or none for all interfaces",
  EACCES: "not permitted; ports under 1024 need privileges, so choose a higher one",
  EMFILE: "this process has too many open files; raise its limit (ulimit -n)",
};
