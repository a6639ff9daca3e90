import { readFileSync } from "node:fs";
import { encodeFrame, encodeUtack, FrameType } from "@usmp/protocol";
import { describe, expect, test } from "vitest";
import { isHexArgument, readRecording } from "../../src/inspect/recording.ts";
import { framesOf, type RecordedSession, sessions } from "./vectors.ts";

const [session] = sessions as [RecordedSession];
const frames = framesOf(session);
const whole = Buffer.from(frames.map(({ frame }) => frame).join(""), "hex");
const read = (content: string | Uint8Array) =>
  readRecording(typeof content === "string" ? Buffer.from(content) : content, "recording").map(({ bytes, from }) => ({
    frame: Buffer.from(bytes).toString("hex"),
    from,
  }));
const directed = frames.map(({ frame, from }) => ({ frame, from }));
const undirected = frames.map(({ frame }) => ({ frame, from: undefined }));

describe("forms of a recording", () => {
  test("raw bytes are cut by the announced lengths", () => {
    expect(read(whole)).toEqual(undirected);
  });

  test("hex of one frame, of several in one, with white space and in capitals", () => {
    expect(read((frames[0] as { frame: string }).frame)).toEqual(undirected.slice(0, 1));
    expect(read(whole.toString("hex"))).toEqual(undirected);
    expect(read(whole.toString("hex").toUpperCase().replaceAll(/(..)/g, "$1 "))).toEqual(undirected);
  });

  test("a hex dump whose lines are wrapped anywhere", () => {
    expect(read(whole.toString("hex").replaceAll(/(.{60})/g, "$1\n"))).toEqual(undirected);
  });

  test.each([
    ["client ", "server "],
    ["c ", "s "],
    ["C: ", "S: "],
    ["> ", "< "],
  ])("lines with directions such as %j and %j, comments and blank lines", (client, server) => {
    const lines = frames.map(({ frame, from }) => `${from === "client" ? client : server}${frame} # a comment`);
    expect(read(`# made by a test\n\n${lines.join("\r\n")}\n`)).toEqual(directed);
  });

  test("JSON of the vectors' form, and a plain list", () => {
    expect(read(JSON.stringify(session))).toEqual(directed);
    expect(read(JSON.stringify(frames))).toEqual(directed);
  });

  test("the vectors file itself: every frame of its sessions, then its UTACKs", () => {
    const file = readFileSync(new URL("../../../../packages/protocol/test/vectors/usmp-v2.json", import.meta.url));
    const expected = sessions.flatMap((recorded) => framesOf(recorded).map(({ frame, from }) => ({ frame, from })));
    const found = read(file);
    for (const frame of expected) expect(found).toContainEqual(frame);
    expect(found.slice(expected.length).every(({ frame }) => frame.startsWith("acac"))).toBe(true);
  });
});

describe("what is no frame", () => {
  const ping = encodeFrame(FrameType.PING, 3, new Uint8Array(28));

  test("bytes before, between and behind frames are pieces of their own", () => {
    const junk = Uint8Array.of(1, 2, 3);
    const found = readRecording(Buffer.concat([junk, ping, junk, ping, junk]), "recording");
    expect(found.map(({ bytes }) => bytes.length)).toEqual([3, ping.length, 3, ping.length, 3]);
  });

  test("UTACKs between frames are cut by their type", () => {
    const sealed = Buffer.concat([encodeUtack(FrameType.PING, 3), new Uint8Array(8)]);
    const found = readRecording(
      Buffer.concat([encodeUtack(FrameType.HELLO, 0), sealed, ping, encodeUtack(FrameType.HELLO_RETRY, 0)]),
      "recording",
    );
    expect(found.map(({ bytes }) => bytes.length)).toEqual([7, 15, ping.length, 7]);
  });

  test("a cut frame at the end is a piece of what is there", () => {
    expect(readRecording(ping.subarray(0, 20), "recording").map(({ bytes }) => bytes.length)).toEqual([20]);
    expect(readRecording(ping.subarray(0, 5), "recording").map(({ bytes }) => bytes.length)).toEqual([5]);
  });

  test("nothing gives nothing", () => {
    expect(readRecording(new Uint8Array(0), "recording")).toEqual([]);
  });
});

describe("text that is no recording", () => {
  test.each([
    ["sender cdab", /line 1 has neither hex digits nor a direction/],
    ["client cdab02\nclient cda", /line 2 has an odd number of hex digits/],
    ["hello", /line 1 has neither/],
    ['{"frames": []}', /no object with a "frame" in hex/],
    ["[1, 2", /line 1 has neither/],
  ])("%j is refused with its line and the way to write it", (text, problem) => {
    expect(() => read(text)).toThrow(problem);
  });
});

test("an argument of hex digits is the recording itself, and a word is a path", () => {
  expect(isHexArgument("cdab02")).toBe(true);
  expect(isHexArgument("CD AB 02")).toBe(true);
  expect(isHexArgument("session.txt")).toBe(false);
  expect(isHexArgument("./cafe")).toBe(false);
  expect(isHexArgument("ab")).toBe(false);
});
