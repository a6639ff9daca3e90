import { describe, expect, it } from "vitest";
import { parseChallenge, parseHello, parseHelloAck, parseHelloRetry, parseSessionOk } from "../../src/wire/message.ts";

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);

describe("handshake payloads are divided as in spec section 3:", () => {
  it("HELLO", () => {
    const bytes = counting(54);
    expect(parseHello(bytes.subarray(0, 38))).toEqual({
      deviceId: bytes.slice(0, 6),
      publicKey: bytes.slice(6, 38),
      cookie: undefined,
    });
    expect(parseHello(bytes)?.cookie).toEqual(bytes.slice(38));
  });

  it("CHALLENGE", () => {
    const bytes = counting(64);
    expect(parseChallenge(bytes)).toEqual({ nonce: bytes.slice(0, 32), publicKey: bytes.slice(32) });
  });

  it("SESSION_OK", () => {
    const bytes = counting(48);
    expect(parseSessionOk(bytes)).toEqual({ sessionId: bytes.slice(0, 16), proof: bytes.slice(16) });
  });

  it("HELLO_ACK and HELLO_RETRY", () => {
    expect(parseHelloAck(counting(32))).toEqual(counting(32));
    expect(parseHelloRetry(counting(16))).toEqual(counting(16));
  });
});

describe("a handshake payload of any other length is no message:", () => {
  it.each([
    { name: "HELLO", parse: parseHello, lengths: [38, 54] },
    { name: "CHALLENGE", parse: parseChallenge, lengths: [64] },
    { name: "HELLO_ACK", parse: parseHelloAck, lengths: [32] },
    { name: "SESSION_OK", parse: parseSessionOk, lengths: [48] },
    { name: "HELLO_RETRY", parse: parseHelloRetry, lengths: [16] },
  ])("$name has $lengths bytes", ({ parse, lengths }) => {
    for (let length = 0; length <= 480; length++) {
      expect(parse(counting(length)) !== undefined).toBe(lengths.includes(length));
    }
  });
});

it.each([
  { kind: "Uint8Array", buffer: counting(64) },
  { kind: "Node Buffer, whose slice() is a view", buffer: Buffer.from(counting(64)) },
])("what is parsed outlives the $kind that it came in", ({ buffer }) => {
  const parsed = parseChallenge(buffer);
  buffer.fill(0xff);
  expect(parsed?.nonce).toEqual(counting(32));
});
