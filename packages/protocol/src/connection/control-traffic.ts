import { MAX_CONTROL_FRAMES_PER_SECOND } from "../constants.ts";
import { addMs, type Instant } from "../time.ts";

/** REKEYs taken from a peer in a second; our own are at most one (spec section 4). */
const MAX_PEER_REKEYS_PER_SECOND = 100;
/**
 * Our PINGs keep PING and PONG together under the peer's limit of 8 a second, with room for the PONGs that its own PINGs force,
 * and a margin for peers that count in windows which begin at their own moment (threats page, F18).
 */
const MAX_OWN_CONTROL_FRAMES = 6;
const OWN_WINDOW_MS = 1_100;

/** Counts events in windows of one second; the window begins with its first event, as the field's peers count. */
class RateLimit {
  readonly #limit: number;
  #windowStart = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one; false when it is one too many. */
  take(now: Instant): boolean {
    if (now - this.#windowStart > 1_000) {
      this.#windowStart = now;
      this.#count = 0;
    }
    return ++this.#count <= this.#limit;
  }
}

/** Limits on PING, PONG and REKEY in both directions, and the round trip of the PING that is under way. */
export class ControlTraffic {
  #received: RateLimit | undefined;
  #rekeys: RateLimit | undefined;
  #sent: Instant[] | undefined;
  #pingSentAt: Instant | undefined;

  /** Counts a received PING or PONG; false when it is more than the peer may send. */
  takeReceived(now: Instant): boolean {
    this.#received ??= new RateLimit(MAX_CONTROL_FRAMES_PER_SECOND);
    return this.#received.take(now);
  }

  /** Counts a received REKEY; false when it is more than the peer may send. */
  takeRekey(now: Instant): boolean {
    this.#rekeys ??= new RateLimit(MAX_PEER_REKEYS_PER_SECOND);
    return this.#rekeys.take(now);
  }

  /** Notes that a PING or PONG leaves. */
  noteSent(now: Instant): void {
    this.#sent ??= [];
    this.#sent.push(now);
    if (this.#sent.length > MAX_OWN_CONTROL_FRAMES) this.#sent.shift();
  }

  /** When the next PING may leave; a moment that has passed means now. */
  get nextPingAt(): Instant | undefined {
    const first = this.#sent?.length === MAX_OWN_CONTROL_FRAMES ? this.#sent[0] : undefined;
    return first === undefined ? undefined : addMs(first, OWN_WINDOW_MS);
  }

  /** True when a PING may leave at `now`: none is unanswered, and their pace allows it. */
  mayPing(now: Instant): boolean {
    return !this.pingUnderWay && now >= (this.nextPingAt ?? now);
  }

  /** Notes that a PING leaves; the round trip counts from the oldest that is unanswered. */
  notePing(now: Instant): void {
    this.noteSent(now);
    this.#pingSentAt ??= now;
  }

  get pingUnderWay(): boolean {
    return this.#pingSentAt !== undefined;
  }

  /** The round trip that a PONG completes, in milliseconds; undefined when no PING is unanswered. */
  takePong(now: Instant): number | undefined {
    if (this.#pingSentAt === undefined) return undefined;
    const roundTripMs = now - this.#pingSentAt;
    this.#pingSentAt = undefined;
    return roundTripMs;
  }
}
