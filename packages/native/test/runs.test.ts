import { FrameType, type RecordKey, writeCrc } from "@usmp/protocol";
import { describe, expect, it } from "vitest";
import { absent } from "./addon.ts";
import { concat, sealed, session, texts } from "./frames.ts";

/** Every length of plaintext that makes a branch: empty, a byte, around the folds of the CRC, the longest. */
const LENGTHS = [0, 1, 5, 20, 64, 151, 152, 153, 164, 300, 451, 452];

describe.skipIf(absent)("a run of frames", () => {
  it("is opened to its end in one call, plaintexts back to back, and stays as it is", () => {
    const { client, server } = session();
    const plaintexts = texts(...LENGTHS);
    const run = concat(plaintexts.map((text, seq) => sealed(client, seq, text)));
    const before = run.slice();
    const out = new Uint8Array(run.length);
    expect(openRun(server.receive, run, 0, out)).toBe(LENGTHS.length);
    const whole = concat(plaintexts);
    expect(out.subarray(0, whole.length)).toEqual(whole);
    expect(out.subarray(whole.length)).toEqual(new Uint8Array(out.length - whole.length));
    expect(run).toEqual(before);
  });

  it("takes data frames of both types, at any place in the bytes, and nothing behind `end`", () => {
    const { client, server } = session();
    const [first, second] = texts(10, 20) as [Uint8Array, Uint8Array];
    const frames = [sealed(client, 7, first, FrameType.DATA_FRAG), sealed(client, 8, second)] as const;
    const bytes = concat([new Uint8Array(3), ...frames, new Uint8Array(9)]);
    const end = 3 + frames[0].length + frames[1].length;
    const out = new Uint8Array(100);
    expect(server.receive.openRun?.(bytes, 3, end, 7, out)).toBe(2);
    expect(out.subarray(0, 30)).toEqual(concat([first, second]));
    expect(server.receive.openRun?.(bytes, 3, end - 1, 7, out)).toBe(1);
    expect(server.receive.openRun?.(bytes, 3, 3, 7, out)).toBe(0);
  });

  it.each(["PING", "PONG", "BYE", "REKEY", "HELLO", "ERROR"] as const)("ends before a %s", (type) => {
    const { client, server } = session();
    const run = concat([
      sealed(client, 0, texts(9)[0] as Uint8Array),
      sealed(client, 1, new Uint8Array(0), FrameType[type]),
    ]);
    expect(openRun(server.receive, run, 0, new Uint8Array(99))).toBe(1);
  });

  it("ends before the last number of all, and before one that is not the next", () => {
    const { client, server } = session();
    const text = texts(4)[0] as Uint8Array;
    const last = concat([sealed(client, 0xfffffffe, text), sealed(client, 0xffffffff, text)]);
    expect(openRun(server.receive, last, 0xfffffffe, new Uint8Array(99))).toBe(1);
    const gap = concat([sealed(client, 4, text), sealed(client, 6, text)]);
    expect(openRun(server.receive, gap, 4, new Uint8Array(99))).toBe(1);
    expect(openRun(server.receive, gap, 5, new Uint8Array(99))).toBe(0);
  });

  it("ends where `out` has no room left, with nothing of the next frame in it", () => {
    const { client, server } = session();
    const run = concat(texts(10, 10).map((text, seq) => sealed(client, seq, text)));
    const out = new Uint8Array(19);
    expect(openRun(server.receive, run, 0, out)).toBe(1);
    expect(out.subarray(10)).toEqual(new Uint8Array(9));
  });

  it("ends before a frame with any bit flipped, also when its CRC was repaired, and leaves no plaintext of it", () => {
    const { client, server } = session();
    const [first, second, third] = texts(8, 12, 6).map((text, seq) => sealed(client, seq, text)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    for (let bit = 0; bit < second.length * 8; bit++) {
      for (const repaired of [false, true]) {
        const index = bit >> 3;
        if (repaired && (index === 10 || index === 11)) continue; // the repair would undo it
        const forged = second.slice();
        forged[index] = (forged[index] as number) ^ (1 << (bit & 7));
        if (repaired) writeCrc(forged);
        const out = new Uint8Array(99);
        expect(openRun(server.receive, concat([first, forged, third]), 0, out), `bit ${bit}`).toBe(1);
        expect(out.subarray(8)).toEqual(new Uint8Array(91));
      }
    }
  });

  it("of another session does not open: its part of the nonce is checked", () => {
    const { client, server } = session();
    const frame = sealed(client, 0, texts(5)[0] as Uint8Array);
    frame[23] = (frame[23] as number) ^ 1;
    client.transmit.seal(frame); // as its text is ciphertext now, only the nonce can be what is refused
    expect(server.receive.open(frame, new Uint8Array(5))).toBe(true);
    expect(openRun(server.receive, frame, 0, new Uint8Array(5))).toBe(0);
  });

  it("is sealed as its frames would be one by one", () => {
    const { client, server } = session();
    const frames = texts(...LENGTHS).map((text, seq) => sealed(client, seq, text));
    const prepared = concat([new Uint8Array(2), ...frames.map(unsealed), new Uint8Array(2)]);
    client.transmit.sealRun?.(prepared, 2, prepared.length - 2);
    expect(prepared).toEqual(concat([new Uint8Array(2), ...frames, new Uint8Array(2)]));

    function unsealed(frame: Uint8Array): Uint8Array {
      const copy = frame.slice();
      const text = new Uint8Array(frame.length - 40);
      expect(server.receive.open(frame, text)).toBe(true);
      copy.fill(0, 10, 12);
      copy.set(text, 24);
      copy.fill(0, 24 + text.length);
      return copy;
    }
  });

  it.each([
    ["does not end where its frames do", (length: number) => [0, length - 1]],
    ["begins amid a frame", (length: number) => [1, length]],
    ["ends before it begins", (length: number) => [length, 0]],
    ["ends behind the bytes", (length: number) => [0, length + 1]],
  ] as const)("that %s is not sealed at all", (_, bounds) => {
    const { client } = session();
    const bytes = concat(texts(5, 6).map((text, seq) => sealed(client, seq, text)));
    const before = bytes.slice();
    const [start, end] = bounds(bytes.length) as [number, number];
    expect(() => client.transmit.sealRun?.(bytes, start, end)).toThrow(RangeError);
    expect(bytes).toEqual(before);
  });
});

describe.skipIf(absent)("memory that input and output share", () => {
  it.each([0, 1, 8, 23, 24, 30, 40, 60])(
    "gives the same plaintext, with `out` %i bytes behind the frame's start",
    (shift) => {
      const { client, server } = session();
      const text = Uint8Array.from({ length: 100 }, (_, index) => index);
      const frame = sealed(client, 0, text);
      for (const open of [
        (input: Uint8Array, out: Uint8Array) => server.receive.open(input, out),
        (input: Uint8Array, out: Uint8Array) => openRun(server.receive, input, 0, out) === 1,
      ]) {
        const memory = concat([frame, new Uint8Array(200)]);
        const out = memory.subarray(shift, shift + text.length);
        expect(open(memory.subarray(0, frame.length), out)).toBe(true);
        expect(out).toEqual(text);
      }
    },
  );
});

function openRun(key: RecordKey, bytes: Uint8Array, seq: number, out: Uint8Array): number {
  return key.openRun?.(bytes, 0, bytes.length, seq, out) as number;
}
