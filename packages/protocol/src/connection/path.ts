import { addMs, type Instant } from "../time.ts";
import type { Address } from "./events.ts";

/** What is sent to an address that has not shown that it hears us, to what came from there: as before a cookie (spec section 6). */
const MAX_AMPLIFICATION = 1.6;
/** So long an address may stay unproven; then we return to the one that was. On a bad line a peer needs a few of its copies to prove it. */
const PROBE_MS = 10_000;

interface Probe {
  /** The probe and what follows it: their UTACKs prove the address. */
  readonly fromSeq: number;
  readonly until: Instant;
  received: number;
  sent: number;
}

/**
 * Where a server's peer is, and whether it has shown that it hears us there. An authentic frame alone does not: whoever overhears one
 * may bring it from an address of its own, to win the session or to aim our traffic at somebody (RFC 9000 section 9.3, RFC 9146 section 6).
 */
export class Path {
  #address: Address;
  /** The last that was proven. */
  #proven: Address;
  #probe: Probe | undefined;

  /** The handshake's cookie proved the first. */
  constructor(address: Address) {
    this.#address = address;
    this.#proven = address;
  }

  get address(): Address {
    return this.#address;
  }

  get isProven(): boolean {
    return this.#probe === undefined;
  }

  /** The peer's newest frame came from there; one that was proven last is so still. Its acknowledgement of a frame from `probeSeq` on proves it. */
  move(to: Address, probeSeq: number, now: Instant): void {
    this.#address = to;
    const known = to.key === this.#proven.key;
    this.#probe = known ? undefined : { fromSeq: probeSeq, until: addMs(now, PROBE_MS), received: 0, sent: 0 };
  }

  /** Something authentic came from the present address. */
  noteReceived(bytes: number): void {
    if (this.#probe !== undefined) this.#probe.received += bytes;
  }

  /** Counts so many bytes to the present address; false when they must not leave. */
  spend(bytes: number): boolean {
    const probe = this.#probe;
    if (probe === undefined) return true;
    if (probe.sent + bytes > MAX_AMPLIFICATION * probe.received) return false;
    probe.sent += bytes;
    return true;
  }

  /** Our frame with this number was acknowledged from the present address; answers the one proven before when that proves it. */
  prove(seq: number): Address | undefined {
    if (this.#probe === undefined || seq < this.#probe.fromSeq) return undefined;
    const before = this.#proven;
    this.#probe = undefined;
    this.#proven = this.#address;
    return before;
  }

  /** When an unproven address is given up. */
  get timeout(): Instant | undefined {
    return this.#probe?.until;
  }

  /** Returns to the proven address when the other has had its time; true when it did. */
  returnWhenDue(now: Instant): boolean {
    if (this.#probe === undefined || now < this.#probe.until) return false;
    this.#probe = undefined;
    this.#address = this.#proven;
    return true;
  }
}
