/**
 * Random numbers that a seed repeats exactly: xoshiro128** (Blackman and Vigna, 2018), seeded through SplitMix32.
 * For tests only. Its output is predictable by design: never a source of keys outside a simulation.
 */
export class SeededRandom {
  readonly seed: number;
  readonly #state: Uint32Array<ArrayBuffer>;

  /** `seed` is used modulo 2^32. */
  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = new Uint32Array(4);
    let mixer = this.seed;
    for (let i = 0; i < 4; i++) {
      mixer = (mixer + 0x9e3779b9) >>> 0;
      this.#state[i] = mix(mixer);
    }
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const state = this.#state;
    const s0 = state[0] as number;
    const s1 = state[1] as number;
    const s2 = state[2] as number;
    const s3 = state[3] as number;
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const third = s2 ^ s0;
    const fourth = s3 ^ s1;
    state[0] = s0 ^ fourth;
    state[1] = s1 ^ third;
    state[2] = third ^ (s1 << 9);
    state[3] = rotateLeft(fourth, 11);
    return result;
  }

  /** A whole number from 0 to `limit` - 1, all equally likely. `limit` is at most 2^32. */
  int(limit: number): number {
    if (!(Number.isInteger(limit) && limit > 0 && limit <= TWO_TO_32)) {
      throw new RangeError(
        `limit ${limit}: not a whole number from 1 to 2^32; pass how many values there are to choose from`,
      );
    }
    // Values above the last whole multiple of limit would favour the small results.
    const ceiling = TWO_TO_32 - (TWO_TO_32 % limit);
    let value = this.uint32();
    while (value >= ceiling) value = this.uint32();
    return value % limit;
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + this.int(max - min + 1);
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.uint32() / TWO_TO_32;
  }

  /** True with `probability`; 0 is never, 1 is always. Draws in either case, so that changing it shifts no other draw. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.int(choices.length)] as T;
  }

  fill(out: Uint8Array): void {
    let word = 0;
    for (let i = 0; i < out.length; i++) {
      word = i % 4 === 0 ? this.uint32() : word >>> 8;
      out[i] = word;
    }
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.fill(out);
    return out;
  }

  /** A generator of its own, decided by this one's state: what one part of a test draws shifts nothing in another part. */
  fork(): SeededRandom {
    return new SeededRandom(this.uint32());
  }
}

const TWO_TO_32 = 2 ** 32;

function rotateLeft(value: number, bits: number): number {
  return ((value << bits) | (value >>> (32 - bits))) >>> 0;
}

/** The finalizer of MurmurHash3: spreads neighbouring seeds apart. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
