/**
 * What the child tells about one session, all of it in hexadecimal. The private keys are XORed with the mask before they leave the
 * provider's hands; the rest is public. From these the parent computes every key that the child has held.
 */
export interface SessionReport {
  readonly maskedClientPrivate: string;
  readonly maskedServerPrivate: string;
  readonly clientPublic: string;
  readonly serverPublic: string;
  readonly salt: string;
  readonly info: string;
  readonly rekeySalt: string;
  readonly rekeyInfo: string;
  /** Sealed by the client under the first keys and under the next: shows that the parent's keys are the child's. */
  readonly frame: string;
  readonly rekeyedFrame: string;
}

/** The parent answers "live" with the one message "forget". */
export type ChildMessage =
  | { readonly type: "live"; readonly mask: string; readonly wiped: SessionReport[]; readonly kept: SessionReport[] }
  | { readonly type: "forgotten" };
