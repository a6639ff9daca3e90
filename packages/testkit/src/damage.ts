import type { SeededRandom } from "./seeded-random.ts";

/** A copy with one to four different bits flipped. */
export function flipBits(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const damaged = bytes.slice();
  const flipped = new Set<number>();
  const count = random.between(1, Math.min(4, bytes.length * 8));
  while (flipped.size < count) flipped.add(random.int(bytes.length * 8));
  for (const bit of flipped) damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7));
  return damaged;
}
