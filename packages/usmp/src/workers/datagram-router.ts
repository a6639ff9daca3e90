import { type Instant, TokenBucket } from "@usmp/protocol";

/** Addresses whose datagrams are another worker's; those claimed longest ago are forgotten first, and found again when they speak. */
const MAX_CLAIMS = 65_536;
/** Datagrams a second that all workers are asked about. They come after a worker's end, which moves addresses; and from forgers. */
const QUESTIONS_PER_SECOND = 1_000;
/** From who read it to the home of its address, which may be the same, and from there to the one that has the session. */
const MAX_HOPS = 2;

export interface RouterOptions {
  readonly self: number;
  readonly count: number;
  /** Sockets are one and the same: whoever is free reads. Else the kernel keeps an address with one worker. */
  readonly shared: boolean;
  readonly ownerOf: (sessionId: Uint8Array) => number;
}

/**
 * Which worker a datagram is for, when it is not for the one that read it. Session frames name their worker; a HELLO, a proof and a UTACK are
 * found by the address that they come from. No I/O: answers are worker numbers.
 */
export class DatagramRouter {
  readonly #options: RouterOptions;
  readonly #claims: Map<string, number> = new Map();
  readonly #questions: TokenBucket;
  #alive: readonly number[];

  constructor(options: RouterOptions, now: Instant) {
    this.#options = options;
    this.#alive = Array.from({ length: options.count }, (_, index) => index);
    this.#questions = new TokenBucket({ perSecond: QUESTIONS_PER_SECOND, burst: QUESTIONS_PER_SECOND }, now);
  }

  /** Who is there now, this worker included. */
  setAlive(workers: readonly number[]): void {
    this.#alive = [...workers].sort((a, b) => a - b);
  }

  /** The worker that shakes hands with this address. */
  homeOf(address: string): number {
    const { shared, self } = this.#options;
    if (!shared) return self;
    return this.#alive[hashOf(address) % this.#alive.length] ?? self;
  }

  /** Whom a session frame is for that no session here knows; `head` begins with its session id. Undefined: nobody. */
  forSession(head: Uint8Array, hops: number): number | undefined {
    if (hops > 0) return undefined;
    const owner = this.#options.ownerOf(head);
    return owner === this.#options.self ? undefined : owner;
  }

  /** Whom a proof or a UTACK may be for that nothing here waits for: one worker, or all others when nobody knows. `from` read it. */
  forAddress(address: string, hops: number, from: number, now: Instant): readonly number[] {
    if (hops >= (this.#options.shared ? MAX_HOPS : 1)) return NOBODY;
    const home = this.homeOf(address);
    if (home !== this.#options.self) return hops === 0 ? [home] : NOBODY;
    const owner = this.#claims.get(address);
    if (owner !== undefined && owner !== from) return [owner];
    if (!this.#questions.take(now)) return NOBODY;
    return this.#alive.filter((worker) => worker !== this.#options.self && worker !== from);
  }

  /** `worker` has the session that lives at this address. */
  claim(address: string, worker: number): void {
    this.#claims.delete(address);
    this.#claims.set(address, worker);
    if (this.#claims.size > MAX_CLAIMS) this.#claims.delete(this.#claims.keys().next().value as string);
  }
}

const NOBODY: readonly number[] = [];

/**
 * FNV-1a, and the end of MurmurHash3 behind it, whose low bits are as good as its high ones. Whoever chooses addresses so that they crowd one
 * worker meets that worker's limits.
 */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
