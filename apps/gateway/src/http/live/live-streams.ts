import { addMs, type Instant } from "@usmp/protocol";
import type { Clock } from "usmp";
import type { TokenRecord, TokenStore } from "../../registry/token-store.ts";
import { HttpProblem, problemOf } from "../problem.ts";
import type { Outlet } from "./outlet.ts";
import { Turns } from "./turns.ts";

export interface LiveLimits {
  readonly mostStreams: number;
  /** A viewer that takes nothing for so long, while something waits for it, is let go. */
  readonly stallMs: number;
}

export const LIVE_LIMITS: LiveLimits = { mostStreams: 1_100, stallMs: 30_000 };

/** For metrics. */
export interface LiveCounts {
  readonly open: number;
  readonly opened: number;
  /** Viewers that took nothing for too long. */
  readonly stalled: number;
  /** Ended because their token was revoked or expired. */
  readonly tokenEnded: number;
  /** Refused, or ended for another token's sake, because there were too many. */
  readonly crowdedOut: number;
}

/** Room for one stream that is about to begin. */
export interface Place {
  readonly token: TokenRecord;
}

interface Stream {
  readonly token: TokenRecord;
  readonly outlet: Outlet;
  readonly abort: AbortController;
  /** Since when its viewer has taken nothing of what waits. */
  blockedAt: Instant | undefined;
}

const TICK_MS = 1_000;
const BEAT_TICKS = 15;

/**
 * The streams that go on. Each viewer is served at its own pace: what waits for it is one item here, what the kernel and its connection hold
 * (some 64 KB), and the bounded feed that the items come from, which counts what it drops.
 */
export class LiveStreams {
  readonly #tokens: TokenStore;
  readonly #clock: Clock;
  readonly #limits: LiveLimits;
  readonly #streams: Set<Stream> = new Set();
  /** Places whose streams have not begun yet: an upgrade or a first item takes a while. */
  readonly #reserved: Set<Place> = new Set();
  readonly #turns: Turns = new Turns();
  readonly #counts = { opened: 0, stalled: 0, tokenEnded: 0, crowdedOut: 0 };
  readonly #stopListening: () => void;
  /** Viewers of the same events share one text of each. */
  readonly #texts: WeakMap<object, string> = new WeakMap();
  #cancelTick: (() => void) | undefined;
  #ticks = 0;

  constructor(tokens: TokenStore, clock: Clock, limits: LiveLimits) {
    this.#tokens = tokens;
    this.#clock = clock;
    this.#limits = limits;
    this.#stopListening = tokens.onRevoked((id) => this.#endOf(id));
  }

  get counts(): LiveCounts {
    return { ...this.#counts, open: this.#streams.size };
  }

  /**
   * A place for one more stream of a token, which `serve` takes and `release` gives back unused. Throws HttpProblem 503; who has the most gives
   * way, so nobody keeps others out.
   */
  reserve(token: TokenRecord): Place {
    this.#makeRoom(token);
    const place = { token };
    this.#reserved.add(place);
    return place;
  }

  release(place: Place): void {
    this.#reserved.delete(place);
  }

  #makeRoom(token: TokenRecord): void {
    if (this.#streams.size + this.#reserved.size < this.#limits.mostStreams) return;
    this.#counts.crowdedOut++;
    const ofToken = new Map<string, Stream[]>();
    for (const stream of this.#streams) ofToken.set(stream.token.id, [...(ofToken.get(stream.token.id) ?? []), stream]);
    const [most = []] = [...ofToken.values()].sort((a, b) => b.length - a.length);
    let own = ofToken.get(token.id)?.length ?? 0;
    for (const place of this.#reserved) if (place.token.id === token.id) own++;
    if (most.length <= own + 1) {
      throw new HttpProblem(503, "rate-limited", "there are too many live streams already", { "retry-after": "10" });
    }
    const last = most.at(-1);
    if (last !== undefined)
      this.#close(last, new HttpProblem(503, "rate-limited", "another token's stream needs the place"));
  }

  /** Serves one viewer until the stream, the viewer, or its token ends. Never rejects. */
  async serve(items: AsyncIterable<unknown>, outlet: Outlet, place: Place, abort: AbortController): Promise<void> {
    const { token } = place;
    this.#reserved.delete(place);
    const stream: Stream = { token, outlet, abort, blockedAt: undefined };
    this.#streams.add(stream);
    this.#counts.opened++;
    this.#cancelTick ??= this.#schedule();
    try {
      for await (const item of items) {
        if (abort.signal.aborted) return;
        const turn = this.#turns.next();
        if (turn !== undefined) await turn;
        if (abort.signal.aborted) return;
        const room = outlet.item(this.#textOf(item));
        if (room === undefined) continue;
        stream.blockedAt = this.#clock.now();
        await room;
        stream.blockedAt = undefined;
      }
      if (!abort.signal.aborted) outlet.end();
    } catch (error) {
      if (!abort.signal.aborted) outlet.fail(problemOf(error));
    } finally {
      this.#streams.delete(stream);
    }
  }

  close(): void {
    this.#stopListening();
    this.#cancelTick?.();
    for (const { abort, outlet } of this.#streams) {
      abort.abort();
      outlet.destroy();
    }
  }

  #textOf(item: unknown): string {
    if (typeof item !== "object" || item === null) return JSON.stringify(item);
    const known = this.#texts.get(item);
    if (known !== undefined) return known;
    const text = JSON.stringify(item);
    this.#texts.set(item, text);
    return text;
  }

  #schedule(): () => void {
    return this.#clock.schedule(addMs(this.#clock.now(), TICK_MS), () => {
      this.#tick();
      this.#cancelTick = this.#streams.size === 0 ? undefined : this.#schedule();
    });
  }

  #tick(): void {
    const now = this.#clock.now();
    const beats = ++this.#ticks % BEAT_TICKS === 0;
    for (const stream of this.#streams) {
      const state = this.#tokens.state(stream.token.id);
      if (state !== "good") this.#endFor(stream, state);
      else if (stream.blockedAt !== undefined) this.#judge(stream, now - stream.blockedAt);
      else if (beats) stream.outlet.beat();
    }
  }

  #judge(stream: Stream, blockedMs: number): void {
    if (blockedMs < this.#limits.stallMs) return;
    this.#counts.stalled++;
    stream.abort.abort();
    stream.outlet.destroy();
  }

  #endOf(id: string): void {
    for (const stream of this.#streams) if (stream.token.id === id) this.#endFor(stream, "revoked");
  }

  #endFor(stream: Stream, state: "revoked" | "expired"): void {
    this.#counts.tokenEnded++;
    this.#close(
      stream,
      new HttpProblem(401, "unauthorized", `this token ${state === "expired" ? "has expired" : "was revoked"}`),
    );
  }

  /** A viewer that takes nothing more would not read why. */
  #close(stream: Stream, problem: HttpProblem): void {
    this.#streams.delete(stream);
    stream.abort.abort();
    if (stream.blockedAt === undefined) stream.outlet.fail(problem);
    else stream.outlet.destroy();
  }
}
