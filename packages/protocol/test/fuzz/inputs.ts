import { runSeed, SeededRandom } from "@usmp/testkit";
import { writeCrc } from "../../src/wire/frame.ts";

/**
 * How long a fuzz target runs: `usual` inputs, or USMP_FUZZ_INPUTS of them, or as many as USMP_FUZZ_SECONDS allow. Yields a generator
 * for each batch of inputs; the seed of a failing batch is in the error, and given back as USMP_SEED it comes first.
 */
export function* batches(usual: number, batchSize: number): Generator<SeededRandom, void, undefined> {
  const seconds = setting("USMP_FUZZ_SECONDS");
  const inputs = setting("USMP_FUZZ_INPUTS") ?? usual;
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1_000;
  const count = seconds === undefined ? Math.ceil(inputs / batchSize) : Number.POSITIVE_INFINITY;
  for (let i = 0; i < count && performance.now() < end; i++) yield new SeededRandom(runSeed() + i);
}

function setting(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name} ${JSON.stringify(text)}: not a whole number above 0`);
  return Number(text);
}

/** One hostile input: noise, or something that was valid once. */
export function hostile(random: SeededRandom, corpus: readonly Uint8Array[]): Uint8Array {
  const valid = random.pick(corpus);
  switch (random.int(9)) {
    case 0:
      return random.bytes(random.int(80));
    case 1:
      return headerWith(random, random.bytes(random.int(490)));
    case 2:
      return flipped(random, valid);
    case 3:
      return withCrc(flipped(random, valid));
    case 4:
      return withCrc(retyped(random, valid));
    case 5:
      return valid.slice(0, random.int(valid.length + 1));
    case 6:
      return joined(valid, random.chance(0.5) ? random.bytes(random.between(1, 40)) : random.pick(corpus));
    case 7:
      return withCrc(resized(random, valid));
    default:
      return valid.slice();
  }
}

/** A header that could be a frame's, with a good CRC, before bytes that are not. */
function headerWith(random: SeededRandom, payload: Uint8Array): Uint8Array {
  const frame = joined(Uint8Array.of(0xcd, 0xab, 2, random.int(13), ...random.bytes(4), 0, 0, 0, 0), payload);
  frame[8] = payload.length;
  frame[9] = payload.length >>> 8;
  return withCrc(frame);
}

function flipped(random: SeededRandom, valid: Uint8Array): Uint8Array {
  const bytes = valid.slice();
  for (let i = random.between(1, 4); i > 0 && bytes.length > 0; i--) {
    const at = random.int(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.int(8));
  }
  return bytes;
}

function retyped(random: SeededRandom, valid: Uint8Array): Uint8Array {
  const bytes = valid.slice();
  if (bytes.length > 3) bytes[3] = random.pick([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255]);
  return bytes;
}

/** Another payload length, announced truthfully. */
function resized(random: SeededRandom, valid: Uint8Array): Uint8Array {
  const payload = random.int(481);
  const bytes = new Uint8Array(12 + payload);
  bytes.set(valid.subarray(0, bytes.length));
  bytes[8] = payload;
  bytes[9] = payload >>> 8;
  return bytes;
}

/** The CRC made good again, so that what lies behind it is reached. */
function withCrc(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= 12) writeCrc(bytes);
  return bytes;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
