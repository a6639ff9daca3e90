/**
 * A moment on a monotonic clock, in milliseconds. Only differences mean anything; wall time never enters the core,
 * so a clock that is set, or a Raspberry Pi that boots in 1970, changes nothing.
 */
export type Instant = number & { readonly __instant: true };

export function instant(milliseconds: number): Instant {
  return milliseconds as Instant;
}

export function addMs(at: Instant, milliseconds: number): Instant {
  return (at + milliseconds) as Instant;
}

/** The earlier of two moments, either of which may be absent. */
export function earliest(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  if (a === undefined) return b;
  return b === undefined || a <= b ? a : b;
}
