import { nodeCrypto } from "@usmp/crypto";
import { encodeFrame, encodeSealedUtack, encodeUtack, FrameType, Secret, writeCrc } from "@usmp/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Explanation } from "../../src/inspect/explanation.ts";
import { Inspector, type Summary } from "../../src/inspect/inspector.ts";
import { type InspectionKeys, parseInspectionKeys } from "../../src/inspect/keys.ts";
import type { Piece } from "../../src/inspect/recording.ts";
import { framesOf, type RecordedSession, sessions } from "./vectors.ts";

const fromHex = (digits: string) => Uint8Array.from(Buffer.from(digits, "hex"));
const toHex = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString("hex"));
const [first] = sessions as [RecordedSession];

interface Inspected {
  readonly explanations: readonly Explanation[];
  readonly summary: Summary;
}

function inspect(
  pieces: readonly Piece[],
  { psk, keys = {} }: { psk?: string; keys?: InspectionKeys } = {},
): Inspected {
  const inspector = new Inspector(nodeCrypto, psk === undefined ? undefined : new Secret(fromHex(psk)), keys);
  const explanations = pieces.map((piece) => inspector.explain(piece));
  return { explanations, summary: inspector.summary };
}

const recording = (session: RecordedSession): Piece[] =>
  framesOf(session).map(({ frame, from }) => ({ bytes: fromHex(frame), from }));
const results = ({ checks }: Explanation) => Object.fromEntries(checks.map(({ name, result }) => [name, result]));
const check = ({ explanations }: Inspected, type: string, name: string) =>
  explanations.find((explanation) => explanation.type === type)?.checks.find((candidate) => candidate.name === name);
const changed = (bytes: Uint8Array, offset: number, repairCrc = false) => {
  const copy = bytes.slice();
  copy[offset] = (copy[offset] as number) ^ 1;
  if (repairCrc) writeCrc(copy);
  return copy;
};

/** Opens the plaintexts of a recording as messages by sender. */
const messagesOf = ({ explanations }: Inspected) =>
  explanations
    .filter(({ type }) => type === "DATA")
    .map(({ from, plaintext, message }) => ({ from, data: toHex(message ?? plaintext) }));

describe.each(sessions)("the recorded session: $name", (session) => {
  const pieces = recording(session);

  test("without any key every check that can be made passes, and no payload is opened", () => {
    const { explanations, summary } = inspect(pieces);
    expect(summary.failedChecks).toBe(0);
    expect(summary.openedFrames).toBe(0);
    expect(explanations.map(({ type }) => type)).toEqual(framesOf(session).map(({ type }) => type));
  });

  test("with the PSK both proofs are verified and the payload stays closed", () => {
    const inspected = inspect(pieces, { psk: session.psk });
    expect(inspected.summary).toMatchObject({ proofsVerified: 2, proofsRefuted: 0, openedFrames: 0, failedChecks: 0 });
    expect(check(inspected, "HELLO_ACK", "client's proof")?.result).toBe("passed");
    expect(check(inspected, "SESSION_OK", "server's proof")?.result).toBe("passed");
    expect(check(inspected, "DATA", "tag")).toMatchObject({
      result: "skipped",
      detail: expect.stringContaining("forward secrecy") as string,
    });
    expect(inspected.explanations.every(({ plaintext }) => plaintext === undefined)).toBe(true);
  });

  test("with another PSK both proofs are refuted", () => {
    const inspected = inspect(pieces, { psk: "00".repeat(32) });
    expect(inspected.summary).toMatchObject({ proofsVerified: 0, proofsRefuted: 2, failedChecks: 2 });
  });

  test.each([
    ["both session keys", `${session.key_c2s}${session.key_s2c}`],
    ["both session keys by name", `s2c:${session.key_s2c},c2s:${session.key_c2s}`],
    ["the client's ephemeral key", `client:${session.client_private}`],
    ["the server's ephemeral key", `server:${session.server_private}`],
    ["both ephemeral keys", `server:${session.server_private},client:${session.client_private}`],
  ])("%s open every frame, across the rekey", (_, key) => {
    const inspected = inspect(pieces, { keys: parseInspectionKeys(key) });
    expect(inspected.summary).toMatchObject({ failedChecks: 0, openedFrames: inspected.summary.sealedFrames });
    expect(messagesOf(inspected).slice(0, session.messages.length)).toEqual(session.messages);
  });

  test("directions need not be told when a key tells them", () => {
    const undirected = pieces.map(({ bytes }) => ({ bytes, from: undefined }));
    const inspected = inspect(undirected, { keys: parseInspectionKeys(`client:${session.client_private}`) });
    expect(inspected.summary.failedChecks).toBe(0);
    expect(inspected.explanations.map(({ from }) => from)).toEqual(pieces.map(({ from }) => from));
  });

  test("a recording that begins within the session is opened by session keys", () => {
    const within = pieces.slice(
      session.handshake_frames.length,
      session.handshake_frames.length + session.session_frames.length,
    );
    const { summary } = inspect(within, { keys: parseInspectionKeys(session.key_c2s + session.key_s2c) });
    expect(summary).toMatchObject({ failedChecks: 0, openedFrames: session.session_frames.length });
  });
});

describe("keys that do not belong to the recording", () => {
  test("session keys of another session open nothing", () => {
    const other = sessions[1] as RecordedSession;
    const { summary } = inspect(recording(first), { keys: parseInspectionKeys(other.key_c2s + other.key_s2c) });
    expect(summary.openedFrames).toBe(0);
    expect(summary.failedChecks).toBe(summary.sealedFrames);
  });

  test("an ephemeral key of another session is named as such", () => {
    const other = sessions[1] as RecordedSession;
    const inspected = inspect(recording(first), { keys: parseInspectionKeys(`client:${other.client_private}`) });
    expect(check(inspected, "SESSION_OK", "client's private key")?.result).toBe("failed");
  });

  test.each([
    "",
    "00",
    `${"0".repeat(127)}`,
    `c2s:${"0".repeat(64)}`,
    `client:${"0".repeat(63)}`,
    `other:${"0".repeat(64)}`,
  ])("--key %j is refused, naming the forms", (written) => {
    expect(() => parseInspectionKeys(written)).toThrow(/^--key: .*128 hex digits/);
  });
});

describe("what a man in the middle changes shows", () => {
  const handshake = recording(first).slice(0, 4);
  test.each([
    ["device_id", 0, 12],
    ["pub_C", 0, 20],
    ["nonce", 1, 12],
    ["pub_S", 1, 50],
    ["the client's proof", 2, 12],
    ["session_id", 3, 12],
    ["the server's proof", 3, 30],
  ])("%s", (_, index, offset) => {
    const forged = handshake.map((piece, at) =>
      at === index ? { ...piece, bytes: changed(piece.bytes, offset, true) } : piece,
    );
    const { summary } = inspect(forged, { psk: first.psk });
    expect(summary.proofsRefuted).toBeGreaterThan(0);
  });
});

describe("framing: the first check that fails is the last that is made, before cryptography", () => {
  const frame = fromHex((first.session_frames[1] as { frame: string }).frame);
  const keys = () => parseInspectionKeys(first.key_c2s + first.key_s2c);
  const oversized = new Uint8Array(12 + 481);
  oversized.set(encodeFrame(FrameType.DATA, 0, new Uint8Array(481)));

  test.each([
    ["a magic of another protocol", changed(frame, 0), "magic"],
    ["version 3", changed(frame, 2), "version"],
    ["a payload of 481 bytes", oversized, "length"],
    ["a missing byte", frame.subarray(0, -1), "complete"],
    ["a missing header byte", frame.subarray(0, 11), "header"],
    ["a byte too many", Uint8Array.of(...frame, 0), "nothing behind"],
    ["a wrong CRC", changed(frame, 10), "crc"],
    ["a damaged payload", changed(frame, 30), "crc"],
    [
      "an unknown type",
      (() => {
        const copy = frame.slice();
        copy[3] = 0x0c;
        writeCrc(copy);
        return copy;
      })(),
      "type",
    ],
  ])("%s", (_, bytes, name) => {
    const { explanations, summary } = inspect([{ bytes, from: "client" }], { keys: keys() });
    const [explanation] = explanations as [Explanation];
    const names = explanation.checks.map((candidate) => candidate.name);
    const at = names.indexOf(name);
    expect(explanation.checks.map(({ result }) => result)).toEqual([
      ...Array<string>(at).fill("passed"),
      "failed",
      ...Array<string>(names.length - at - 1).fill("skipped"),
    ]);
    expect(explanation.plaintext).toBeUndefined();
    expect(summary.failedChecks).toBe(1);
  });

  test("the CRC that was found and the one that was computed are both named", () => {
    const inspected = inspect([{ bytes: changed(frame, 10), from: "client" }]);
    const crc = inspected.explanations[0]?.checks.find(({ name }) => name === "crc");
    expect(crc?.detail).toMatch(
      /^found 0x[0-9A-F]{4}, computed 0x7187; a receiver stops here, before any cryptography$/,
    );
  });
});

describe("session frames", () => {
  const session = recording(first);
  const keys = () => parseInspectionKeys(first.key_c2s + first.key_s2c);

  test("a changed clear nonce fails by its name, before decryption", () => {
    const data = session[5] as Piece;
    for (const [offset, name] of [
      [12, "nonce seq"],
      [16, "nonce session"],
    ] as const) {
      const forged = [...session.slice(0, 5), { ...data, bytes: changed(data.bytes, offset, true) }];
      const last = inspect(forged).explanations.at(-1) as Explanation;
      expect(results(last)[name]).toBe("failed");
    }
  });

  test("a changed ciphertext fails by its tag", () => {
    const data = session[5] as Piece;
    const last = inspect([...session.slice(0, 5), { ...data, bytes: changed(data.bytes, 24, true) }], {
      keys: keys(),
    }).explanations.at(-1) as Explanation;
    expect(results(last)["tag"]).toBe("failed");
    expect(last.plaintext).toBeUndefined();
  });

  test("a frame left out of a stream fails the next one's sequence", () => {
    const { explanations, summary } = inspect([...session.slice(0, 4), session[5] as Piece]);
    expect(results(explanations.at(-1) as Explanation)["sequence"]).toBe("failed");
    expect(summary.failedChecks).toBe(1);
  });

  test("a payload too short to be sealed is named", () => {
    const [explanation] = inspect([{ bytes: encodeFrame(FrameType.DATA, 0, new Uint8Array(27)), from: "client" }])
      .explanations as [Explanation];
    expect(results(explanation)["payload"]).toBe("failed");
  });

  test("a handshake frame from the wrong side is named", () => {
    const hello = session[0] as Piece;
    const [explanation] = inspect([{ bytes: hello.bytes, from: "server" }]).explanations as [Explanation];
    expect(results(explanation)["sender"]).toBe("failed");
  });
});

describe("datagrams", () => {
  const cookie = new Uint8Array(16).fill(7);
  const [hello, ...rest] = recording(first) as [Piece, ...Piece[]];
  const cookieHello = encodeFrame(FrameType.HELLO, 1, Uint8Array.of(...hello.bytes.subarray(12), ...cookie));
  const opening: Piece[] = [
    hello,
    { bytes: encodeUtack(FrameType.HELLO, 0), from: "server" },
    { bytes: encodeFrame(FrameType.HELLO_RETRY, 0, cookie), from: "server" },
    { bytes: encodeUtack(FrameType.HELLO_RETRY, 0), from: "client" },
    { bytes: cookieHello, from: "client" },
  ];

  test("a handshake with HELLO_RETRY and UTACKs is verified", () => {
    const inspected = inspect([...opening, ...rest], { psk: first.psk });
    expect(inspected.summary).toMatchObject({ failedChecks: 0, proofsVerified: 2 });
    expect(inspected.explanations.map(({ type }) => type).slice(0, 5)).toEqual([
      "HELLO",
      "UTACK",
      "HELLO_RETRY",
      "UTACK",
      "HELLO",
    ]);
    expect(results(inspected.explanations[4] as Explanation)["cookie"]).toBe("passed");
  });

  test("a HELLO with another cookie fails by its name", () => {
    const forged = encodeFrame(FrameType.HELLO, 1, Uint8Array.of(...hello.bytes.subarray(12), ...cookie.slice(1), 9));
    const inspected = inspect([...opening.slice(0, 4), { bytes: forged, from: "client" }]);
    expect(results(inspected.explanations[4] as Explanation)["cookie"]).toBe("failed");
  });

  test("gaps and repeats in seq are normal", () => {
    const data = rest.slice(3);
    const { summary } = inspect([
      ...opening,
      ...rest.slice(0, 3),
      data[1] as Piece,
      data[1] as Piece,
      data[0] as Piece,
    ]);
    expect(summary.failedChecks).toBe(0);
  });

  test("the MAC of a UTACK is checked with the session's keys", () => {
    const keys = nodeCrypto.importTrafficKeys(
      "server",
      new Secret(fromHex(first.key_c2s)),
      new Secret(fromHex(first.key_s2c)),
      fromHex(first.session_id),
    );
    const utack = encodeSealedUtack(FrameType.DATA, 0, (message) => keys.receive.acknowledgementMac(message));
    for (const [bytes, result] of [
      [utack, "passed"],
      [changed(utack, 9), "failed"],
    ] as const) {
      const inspected = inspect([...opening, ...rest.slice(0, 4), { bytes, from: "server" }], {
        keys: parseInspectionKeys(first.key_c2s + first.key_s2c),
      });
      expect(results(inspected.explanations.at(-1) as Explanation)).toMatchObject({
        form: "passed",
        acknowledges: "passed",
        mac: result,
      });
    }
  });

  test("a UTACK of a wrong length is named", () => {
    const [explanation] = inspect([{ bytes: encodeUtack(FrameType.DATA, 0), from: "server" }]).explanations as [
      Explanation,
    ];
    expect(results(explanation)["form"]).toBe("failed");
  });
});

test("any bytes give an explanation, with keys and without, and nothing is thrown", () => {
  const pieces = recording(first);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc
      .tuple(fc.constantFrom(...Object.values(FrameType)), fc.nat(5), fc.uint8Array({ maxLength: 480 }))
      .map(([type, seq, payload]) => encodeFrame(type, seq, payload)),
    fc.constantFrom(...pieces.map((piece) => piece.bytes)),
    fc.uint8Array({ maxLength: 20 }).map((tail) => Uint8Array.of(0xac, 0xac, ...tail)),
  );
  const piece = fc.record({ bytes, from: fc.constantFrom("client" as const, "server" as const, undefined) });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (mixed, withKeys) => {
      const { explanations, summary } = inspect(
        mixed,
        withKeys ? { psk: first.psk, keys: parseInspectionKeys(first.key_c2s + first.key_s2c) } : {},
      );
      const failures = explanations.flatMap(({ checks }) => checks).filter(({ result }) => result === "failed").length;
      return explanations.length === mixed.length && summary.failedChecks === failures;
    }),
    { numRuns: 500 },
  );
});
