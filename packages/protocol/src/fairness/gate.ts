import type { Instant } from "../time.ts";
import type { Limits } from "./limits.ts";
import { Recent } from "./recent.ts";
import { TokenBucket } from "./token-bucket.ts";

/** "Answered at least once a second": a device that was not answered for so long goes before its source's share. */
const OVERDUE_MS = 1_000;
/** Of cookiesPerSecond, what sources have beside it at which a device proved itself lately. */
const PROVEN_COOKIE_SHARE = 4;

/**
 * What a server may spend on peers that have proved nothing yet, and whom it knows: shared by its transports. It decides by what was
 * proven: an address that lately proved a device has no limit on its handshakes, so that nobody behind the same NAT can slow it down;
 * failures count against nobody. Sources are those of sourceOf().
 */
export class Gate {
  readonly limits: Limits;
  /** Pairs of device and source. */
  readonly #proven: Recent;
  /** How many of those each source has. */
  readonly #provenAt: Map<string, number> = new Map();
  /** In the order of their last use. */
  readonly #shares: Map<string, TokenBucket> = new Map();
  /** Pairs that were let in a moment ago. */
  readonly #answered: Recent;
  readonly #newcomers: TokenBucket;
  readonly #overdue: TokenBucket;
  readonly #cookies: TokenBucket;
  readonly #provenCookies: TokenBucket;
  readonly #wrongProofs: TokenBucket;

  constructor(limits: Limits, now: Instant) {
    this.limits = limits;
    this.#proven = new Recent(limits.provenPairs, limits.provenMs, (pair) => this.#forgetPair(pair));
    this.#answered = new Recent(limits.countedSources, OVERDUE_MS);
    this.#newcomers = perSecond(limits.newcomersPerSecond, now);
    this.#overdue = perSecond(limits.overdueNewcomersPerSecond, now);
    this.#cookies = perSecond(limits.cookiesPerSecond, now);
    this.#provenCookies = perSecond(Math.ceil(limits.cookiesPerSecond / PROVEN_COOKIE_SHARE), now);
    this.#wrongProofs = perSecond(limits.wrongProofsPerSecond, now);
  }

  get provenPairs(): number {
    return this.#proven.size;
  }

  /** True when a HELLO without cookie may be answered. Its source can be forged: so this is a rate for all, and none of its own. */
  takeCookie(source: string, now: Instant): boolean {
    return this.#cookies.take(now) || (this.#isProvenSource(source, now) && this.#provenCookies.take(now));
  }

  /**
   * True when a HELLO may begin a handshake: its source is real, for its cookie came back, or TCP's own handshake did. Without a limit
   * where a device proved itself lately; else while there is enough for all; when it is scarce, from the source's share, or when this
   * device was not answered within the last second.
   */
  admit(deviceId: Uint8Array, source: string, now: Instant): boolean {
    const pair = pairOf(deviceId, source);
    const admitted =
      this.#isProvenSource(source, now) ||
      this.#newcomers.takeSpare(now) ||
      (this.#takeShare(source, now) && this.#newcomers.take(now)) ||
      (!this.#answered.has(pair, now) && this.#overdue.take(now));
    if (admitted) this.#answered.note(pair, now);
    return admitted;
  }

  /** True when one more wrong proof of a handshake that has had its own may be looked at. */
  takeWrongProof(now: Instant): boolean {
    return this.#wrongProofs.take(now);
  }

  /** The device has proved its key at this source. */
  noteProven(deviceId: Uint8Array, source: string, now: Instant): void {
    if (!this.#proven.note(pairOf(deviceId, source), now)) return;
    this.#provenAt.set(source, (this.#provenAt.get(source) ?? 0) + 1);
  }

  /** A name for this device at this source, when it proved itself there lately. */
  provenPair(deviceId: Uint8Array, source: string, now: Instant): string | undefined {
    const pair = pairOf(deviceId, source);
    return this.#proven.has(pair, now) ? pair : undefined;
  }

  #isProvenSource(source: string, now: Instant): boolean {
    this.#proven.expire(now);
    return this.#provenAt.has(source);
  }

  #takeShare(source: string, now: Instant): boolean {
    const { newcomersPerSourcePerSecond, newcomersPerSourceBurst, countedSources } = this.limits;
    const share =
      this.#shares.get(source) ??
      new TokenBucket({ perSecond: newcomersPerSourcePerSecond, burst: newcomersPerSourceBurst }, now);
    this.#shares.delete(source);
    this.#shares.set(source, share);
    if (this.#shares.size > countedSources) this.#shares.delete(this.#shares.keys().next().value as string);
    return share.take(now);
  }

  #forgetPair(pair: string): void {
    const source = pair.slice(pair.indexOf(SEPARATOR) + 1);
    const left = (this.#provenAt.get(source) as number) - 1;
    if (left === 0) this.#provenAt.delete(source);
    else this.#provenAt.set(source, left);
  }
}

const SEPARATOR = " ";

/** The id in hex, which holds no separator. */
function pairOf(deviceId: Uint8Array, source: string): string {
  let id = "";
  for (const byte of deviceId) id += byte.toString(16).padStart(2, "0");
  return id + SEPARATOR + source;
}

function perSecond(rate: number, now: Instant): TokenBucket {
  return new TokenBucket({ perSecond: rate, burst: rate }, now);
}
