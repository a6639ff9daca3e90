import { constants, FrameType, Secret, sealedLength, sealFrame, type TrafficKeys } from "@usmp/protocol";
import { native } from "./addon.ts";

const SESSION_ID = Uint8Array.from({ length: constants.SESSION_ID_LENGTH }, (_, index) => 0x50 + index);
const CLIENT_TEST_KEY = new Uint8Array(32).fill(1);
const SERVER_TEST_KEY = new Uint8Array(32).fill(2);

/** Both ends of a session with known keys, on the native provider. */
export function session(crypto = native().crypto): { readonly client: TrafficKeys; readonly server: TrafficKeys } {
  const [first, second] = [new Secret(CLIENT_TEST_KEY), new Secret(SERVER_TEST_KEY)];
  return {
    client: crypto.importTrafficKeys("client", first, second, SESSION_ID),
    server: crypto.importTrafficKeys("server", first, second, SESSION_ID),
  };
}

/** A sealed frame of the client's, as the protocol makes it. */
export function sealed(
  keys: TrafficKeys,
  seq: number,
  plaintext: Uint8Array,
  type: FrameType = FrameType.DATA,
): Uint8Array {
  const frame = new Uint8Array(sealedLength(plaintext.length));
  sealFrame(frame, keys.transmit, SESSION_ID, type, seq, plaintext);
  return frame;
}

/** Plaintexts of these lengths, each filled with its place in the list. */
export function texts(...lengths: readonly number[]): Uint8Array[] {
  return lengths.map((length, index) => new Uint8Array(length).fill(index + 1));
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
