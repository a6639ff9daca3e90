import { type FrameTypeName, frameCrc } from "@usmp/protocol";

/** One change of one field of a frame. */
export interface Change {
  readonly field: string;
  /** Whether the CRC was made good again, as a tamperer would. */
  readonly crc: "broken" | "fixed";
  readonly apply: (frame: Uint8Array) => Uint8Array;
}

type Field = readonly [name: string, offset: number, mask?: number];

const HEADER: readonly Field[] = [
  ["magic, first byte", 0],
  ["magic, second byte", 1],
  ["version", 2],
  ["type, to one that does not exist", 3, 0x40],
  ["type, to another", 3, 0x03],
  ["seq, lowest bit", 4],
  ["seq, highest bit", 7, 0x80],
  ["length, by one", 8],
  ["length, beyond 480", 9, 0x80],
  ["crc", 10],
];

const SEALED: readonly Field[] = [
  ["nonce, its seq", 12],
  ["nonce, its session id", 16],
  ["nonce, the last byte of its session id", 23],
  ["the byte behind the nonce (ciphertext, or tag of an empty frame)", 24],
  ["tag, last byte", -1, 0x80],
];

/** Payload fields with their offset in the frame, spec sections 3 and 4. */
const PAYLOAD: Readonly<Record<Exclude<FrameTypeName, "ERROR">, readonly Field[]>> = {
  HELLO: [
    ["device_id", 12],
    ["pub_C, first byte", 18],
    ["pub_C, last byte", 49],
  ],
  HELLO_RETRY: [
    ["cookie, first byte", 12],
    ["cookie, last byte", -1],
  ],
  CHALLENGE: [
    ["nonce, first byte", 12],
    ["nonce, last byte", 43],
    ["pub_S, first byte", 44],
    ["pub_S, last byte", 75],
  ],
  HELLO_ACK: [
    ["proof, first byte", 12],
    ["proof, last byte", -1, 0x80],
  ],
  SESSION_OK: [
    ["session_id, first byte", 12],
    ["session_id, last byte", 27],
    ["proof, first byte", 28],
    ["proof, last byte", -1, 0x80],
  ],
  DATA: SEALED,
  DATA_FRAG: SEALED,
  PING: SEALED,
  PONG: SEALED,
  BYE: SEALED,
  REKEY: SEALED,
};

/** Every field of a frame type, flipped as noise does and as a tamperer does. */
export function changesOf(type: Exclude<FrameTypeName, "ERROR">): readonly Change[] {
  return [...HEADER, ...PAYLOAD[type]].flatMap(([field, at, mask = 1]) => {
    const broken: Change = { field, crc: "broken", apply: (frame) => flipped(frame, at, mask) };
    const fixed: Change = { field, crc: "fixed", apply: (frame) => withGoodCrc(flipped(frame, at, mask)) };
    return field === "crc" ? [broken] : [broken, fixed];
  });
}

export function nameOf({ field, crc }: Change): string {
  return `${field}, crc ${crc}`;
}

function flipped(frame: Uint8Array, at: number, mask: number): Uint8Array {
  const copy = Uint8Array.from(frame);
  const offset = at < 0 ? copy.length + at : at;
  copy[offset] = (copy[offset] as number) ^ mask;
  return copy;
}

/** Over what the length field announces, as the receiver computes it; when it announces too much, over what there is. */
function withGoodCrc(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer);
  const announced = frame.subarray(0, 12 + view.getUint16(8, true));
  view.setUint16(10, frameCrc(announced), true);
  return frame;
}
