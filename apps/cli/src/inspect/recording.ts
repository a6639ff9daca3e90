import { constants } from "@usmp/protocol";
import { CommandError } from "../failure.ts";
import type { Direction } from "./explanation.ts";

/** A frame, a UTACK, or bytes that are neither, as they stand in a recording. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly from: Direction | undefined;
}

/**
 * Reads a recording in any of its forms: raw bytes; lines of hex digits, each with a direction before it or not; or JSON in which
 * objects have a "frame" (or "utack") in hex and a "from". Throws "bad-recording" for text that is none of these.
 */
export function readRecording(content: Uint8Array, field: string): readonly Piece[] {
  const text = asciiText(content);
  const runs = text === undefined ? [{ bytes: content, from: undefined }] : readText(text, field);
  return runs.flatMap(splitRun);
}

/** True when the argument itself is the recording. */
export function isHexArgument(argument: string): boolean {
  return /^[0-9a-f\s]+$/i.test(argument) && argument.replaceAll(/\s/g, "").length >= MAGIC_DIGITS;
}

const MAGIC_DIGITS = 4;
const FRAME_MAGIC = [0xcd, 0xab] as const;
const UTACK_MAGIC = [0xac, 0xac] as const;

function badRecording(message: string): CommandError {
  return new CommandError("bad-recording", message, 1);
}

function readText(text: string, field: string): readonly Piece[] {
  const json = parseJson(text);
  if (json !== undefined) {
    const pieces = [...piecesIn(json)];
    if (pieces.length === 0)
      throw badRecording(
        `${field}: this JSON has no object with a "frame" in hex; give frames as {"from": "client", "frame": "cdab…"}`,
      );
    return pieces;
  }
  const lines = text
    .split(/\r?\n/)
    .map((line, index) => ({ line: line.replace(/#.*$/, "").trim(), number: index + 1 }))
    .filter(({ line }) => line !== "")
    .map(({ line, number }) => readLine(line, number, field));
  // Lines of a wrapped hex dump begin anywhere; then all of them are one run.
  const apart = lines.every(
    ({ bytes, from }) => from !== undefined || startsWith(bytes, 0, FRAME_MAGIC) || startsWith(bytes, 0, UTACK_MAGIC),
  );
  return apart ? lines : [{ bytes: Buffer.concat(lines.map(({ bytes }) => bytes)), from: undefined }];
}

const DIRECTIONS: Readonly<Record<string, Direction>> = {
  c: "client",
  client: "client",
  ">": "client",
  s: "server",
  server: "server",
  "<": "server",
};

function readLine(line: string, number: number, field: string): Piece {
  const match = /^(?:(c|s|client|server|>|<)(?:\s*:\s*|\s+))?([0-9a-f\s]+)$/i.exec(line);
  const digits = match?.[2]?.replaceAll(/\s/g, "");
  if (digits === undefined || digits.length % 2 !== 0) {
    const problem =
      digits === undefined ? "neither hex digits nor a direction and hex digits" : "an odd number of hex digits";
    throw badRecording(
      `${field}: line ${number} has ${problem}; write "client cdab0201…" or "server …", one or several frames a line`,
    );
  }
  return { bytes: Buffer.from(digits, "hex"), from: DIRECTIONS[match?.[1]?.toLowerCase() ?? ""] };
}

/** Frames of a JSON document in its order, wherever they stand: the vectors file is one. */
function* piecesIn(value: unknown): Generator<Piece> {
  if (typeof value !== "object" || value === null) return;
  const record = value as Readonly<Record<string, unknown>>;
  const digits = record["frame"] ?? record["utack"];
  if (typeof digits === "string" && /^([0-9a-f]{2})+$/i.test(digits)) {
    const from = record["from"];
    yield { bytes: Buffer.from(digits, "hex"), from: typeof from === "string" ? DIRECTIONS[from] : undefined };
    return;
  }
  for (const inner of Object.values(value)) yield* piecesIn(inner);
}

/** Cuts a run into frames by their announced lengths. What is no frame ends where the next magic stands. */
function splitRun({ bytes, from }: Piece): Piece[] {
  const pieces: Piece[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const end = pieceEnd(bytes, offset);
    pieces.push({ bytes: bytes.subarray(offset, end), from });
    offset = end;
  }
  return pieces;
}

function pieceEnd(bytes: Uint8Array, offset: number): number {
  const left = bytes.length - offset;
  if (startsWith(bytes, offset, UTACK_MAGIC) && left > 2) {
    const sealed = (bytes[offset + 2] as number) >= 5 && bytes[offset + 2] !== 0x0a;
    return offset + Math.min(left, constants.UTACK_LENGTH + (sealed ? constants.UTACK_MAC_LENGTH : 0));
  }
  if (startsWith(bytes, offset, FRAME_MAGIC)) {
    if (left < constants.HEADER_LENGTH) return bytes.length;
    const length = (bytes[offset + 8] as number) + 256 * (bytes[offset + 9] as number);
    if (length <= constants.MAX_PAYLOAD_LENGTH) return offset + Math.min(left, constants.HEADER_LENGTH + length);
  }
  for (let next = offset + 1; next < bytes.length; next++) {
    if (startsWith(bytes, next, FRAME_MAGIC) && bytes[next + 2] === constants.VERSION) return next;
  }
  return bytes.length;
}

function startsWith(bytes: Uint8Array, offset: number, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[offset + index] === byte);
}

function parseJson(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The content as text, when it has nothing but printable ASCII and white space; a frame never is. */
function asciiText(content: Uint8Array): string | undefined {
  for (const byte of content)
    if (byte > 0x7e || (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)) return undefined;
  return Buffer.from(content).toString("latin1");
}
