import { defaultCrypto } from "@usmp/crypto";
import { SeededRandom, withSeed } from "@usmp/testkit";
import { expect, test } from "vitest";
import { decodeFrame, encodeFrame, type Frame, FrameType } from "../../src/wire/frame.ts";
import { Framer } from "../../src/wire/framer.ts";
import { parseChallenge, parseHello, parseHelloAck, parseHelloRetry, parseSessionOk } from "../../src/wire/message.ts";
import { decodeUtack, encodeUtack } from "../../src/wire/utack.ts";
import { batches, hostile } from "./inputs.ts";

const BATCH = 2_000;
const CORPUS = corpus();

function corpus(): Uint8Array[] {
  const random = new SeededRandom(1);
  const frames = Object.values(FrameType).flatMap((type) =>
    [0, 16, 32, 38, 48, 54, 64, 60, 480].map((length) => encodeFrame(type, random.uint32(), random.bytes(length))),
  );
  const utacks = Object.values(FrameType).map((type) => encodeUtack(type, random.uint32()));
  return [...frames, ...utacks];
}

test("any bytes give the frame decoder a frame that encodes to the same bytes, or a violation", () => {
  let frames = 0;
  for (const random of batches(60_000, BATCH)) {
    withSeed(random.seed, () => {
      for (let i = 0; i < BATCH; i++) {
        const input = hostile(random, CORPUS);
        const decoded = decodeFrame(input);
        if (typeof decoded === "string") continue;
        frames++;
        expect(encodeFrame(decoded.type, decoded.seq, decoded.bytes.subarray(12))).toEqual(input);
      }
    });
  }
  expect(frames).toBeGreaterThan(0);
});

test("any bytes in any chunks give the framer the frames that lie in them, then a violation or nothing, and at most a frame is held", () => {
  for (const random of batches(40_000, BATCH)) {
    withSeed(random.seed, () => {
      for (let i = 0; i < BATCH; i += 10) {
        const pieces = Array.from({ length: 10 }, () => hostile(random, CORPUS));
        const stream = Buffer.concat(pieces);
        const whole = cut(stream, [stream.length]);
        const chunks: number[] = [];
        for (let at = 0; at < stream.length; ) {
          at = Math.min(stream.length, at + random.between(1, random.chance(0.3) ? 3 : 600));
          chunks.push(at);
        }
        expect(cut(stream, chunks)).toEqual(whole);
      }
    });
  }
});

test("any payload gives the message parsers a message of the right lengths, or nothing", () => {
  for (const random of batches(20_000, BATCH)) {
    withSeed(random.seed, () => {
      for (let i = 0; i < BATCH; i++) {
        const input = random.bytes(random.chance(0.7) ? random.pick([16, 32, 38, 48, 54, 64]) : random.int(90));
        const hello = parseHello(input);
        expect(hello === undefined).toBe(input.length !== 38 && input.length !== 54);
        if (hello !== undefined) expect([hello.deviceId.length, hello.publicKey.length]).toEqual([6, 32]);
        expect(parseChallenge(input) === undefined).toBe(input.length !== 64);
        expect(parseHelloAck(input) === undefined).toBe(input.length !== 32);
        expect(parseSessionOk(input) === undefined).toBe(input.length !== 48);
        expect(parseHelloRetry(input) === undefined).toBe(input.length !== 16);
      }
    });
  }
});

test("any datagram gives the UTACK decoder one that encodes to the same seven bytes, or nothing", () => {
  const key = defaultCrypto().generateKeyPair().publicKey;
  const macs = CORPUS.filter((bytes) => bytes[0] === 0xac).map((bytes) => Buffer.concat([bytes, key.subarray(0, 8)]));
  for (const random of batches(20_000, BATCH)) {
    withSeed(random.seed, () => {
      for (let i = 0; i < BATCH; i++) {
        const input = hostile(random, [...CORPUS.slice(-12), ...macs]);
        const utack = decodeUtack(input);
        if (utack === undefined) continue;
        expect(encodeUtack(utack.type, utack.seq)).toEqual(Uint8Array.from(input.subarray(0, 7)));
        expect(input.length).toBe(utack.mac === undefined ? 7 : 15);
      }
    });
  }
});

/** What a framer says of a stream that comes in chunks which end there: frames in hexadecimal, and the violation that ended it. */
function cut(stream: Uint8Array, ends: readonly number[]): string[] {
  const framer = new Framer();
  const found: string[] = [];
  let start = 0;
  for (const end of ends) {
    framer.push(stream.subarray(start, end));
    start = end;
    for (let next = framer.next(); next !== undefined; next = framer.next()) {
      found.push(typeof next === "string" ? next : hex(next));
      if (typeof next === "string") return found;
    }
  }
  return found;
}

function hex(frame: Frame): string {
  return Buffer.from(frame.bytes).toString("hex");
}
