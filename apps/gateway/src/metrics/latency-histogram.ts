import type { Bucket, Family } from "./family.ts";

/** Seconds. From a write that the system has buffered to a device that answers the next day is too far: beyond a minute all is one. */
const BOUNDS: readonly number[] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];

/** How long something took: a few numbers, cheap enough to be told with every message. */
export class LatencyHistogram {
  readonly #counts: number[] = new Array<number>(BOUNDS.length + 1).fill(0);
  #sumMs = 0;
  #mirror: ((seconds: number) => void) | undefined;

  /** A clock that was set back meanwhile makes it 0. */
  observe(milliseconds: number): void {
    const seconds = Math.max(0, milliseconds) / 1_000;
    let index = 0;
    while (index < BOUNDS.length && seconds > (BOUNDS[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sumMs += Math.max(0, milliseconds);
    this.#mirror?.(seconds);
  }

  /** Hears each observation as well. */
  mirror(hear: ((seconds: number) => void) | undefined): void {
    this.#mirror = hear;
  }

  family(name: string, help: string): Family {
    const buckets: Bucket[] = [];
    let count = 0;
    for (const [index, each] of this.#counts.entries()) {
      count += each;
      buckets.push({ upTo: BOUNDS[index] ?? Number.POSITIVE_INFINITY, count });
    }
    return { name, help, type: "histogram", samples: [{ labels: {}, value: this.#sumMs / 1_000, buckets }] };
  }
}
