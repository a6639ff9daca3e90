import {
  type CryptoProvider,
  clientProof,
  constants,
  constantTimeEqual,
  FrameType,
  type Secret,
  serverProof,
  sessionKeyInfo,
  type TrafficKeys,
  type Transcript,
} from "@usmp/protocol";
import { SdkError, type SdkFrame } from "./frames.ts";
import type { SdkSessionInfo } from "./session.ts";
import type { SdkStream } from "./stream.ts";
import type { Task } from "./tasks.ts";

const { CHALLENGE_NONCE_LENGTH, COOKIE_LENGTH, DEVICE_ID_LENGTH, PROOF_LENGTH, PUBLIC_KEY_LENGTH, SESSION_ID_LENGTH } =
  constants;
const HELLO_LENGTH = DEVICE_ID_LENGTH + PUBLIC_KEY_LENGTH;

/** client_handshake(): each frame once in its place; the first CHALLENGE wins (F17), one HELLO_RETRY is answered (F9). */
export function* clientHandshake(
  crypto: CryptoProvider,
  stream: SdkStream,
  psk: Secret,
  deviceId: Uint8Array,
): Task<SdkSessionInfo> {
  const keyPair = crypto.generateKeyPair();
  const hello = Buffer.concat([deviceId, keyPair.publicKey]);
  yield* stream.writeFrame(FrameType.HELLO, hello, 0);
  let frame = yield* stream.readFrame(false);
  if (frame.type === FrameType.HELLO_RETRY) {
    requireLength(frame, COOKIE_LENGTH);
    yield* stream.writeFrame(FrameType.HELLO, Buffer.concat([hello, frame.payload]), 1);
    frame = yield* stream.readFrame(false);
  }
  requireFrame(frame, FrameType.CHALLENGE, CHALLENGE_NONCE_LENGTH + PUBLIC_KEY_LENGTH);
  const transcript = {
    deviceId,
    nonce: frame.payload.subarray(0, CHALLENGE_NONCE_LENGTH),
    clientPublicKey: keyPair.publicKey,
    serverPublicKey: frame.payload.subarray(CHALLENGE_NONCE_LENGTH),
  };
  yield* stream.writeFrame(FrameType.HELLO_ACK, clientProof(crypto, psk, transcript), 2);
  const ok = yield* stream.readFrame(false);
  requireFrame(ok, FrameType.SESSION_OK, SESSION_ID_LENGTH + PROOF_LENGTH);
  const sessionId = ok.payload.slice(0, SESSION_ID_LENGTH);
  const expected = serverProof(crypto, psk, transcript, sessionId);
  if (!constantTimeEqual(expected, ok.payload.subarray(SESSION_ID_LENGTH))) {
    throw new SdkError("AuthError", "Server HMAC verification failed");
  }
  const keys = deriveKeys(crypto, "client", keyPair, transcript, sessionId);
  stream.setSessionKeys(keys);
  return { deviceId, sessionId, keys };
}

/** server_handshake() with one key for all devices. */
export function* serverHandshake(crypto: CryptoProvider, stream: SdkStream, psk: Secret): Task<SdkSessionInfo> {
  const hello = yield* stream.readFrame(false);
  if (hello.type !== FrameType.HELLO) throw new SdkError("HandshakeError", "Expected HELLO");
  if (![HELLO_LENGTH, HELLO_LENGTH + COOKIE_LENGTH].includes(hello.payload.length)) {
    throw new SdkError("HandshakeError", `Bad HELLO length: ${hello.payload.length}`);
  }
  const keyPair = crypto.generateKeyPair();
  const nonce = new Uint8Array(CHALLENGE_NONCE_LENGTH);
  crypto.randomFill(nonce);
  const transcript = {
    deviceId: hello.payload.slice(0, DEVICE_ID_LENGTH),
    nonce,
    clientPublicKey: hello.payload.slice(DEVICE_ID_LENGTH, HELLO_LENGTH),
    serverPublicKey: keyPair.publicKey,
  };
  yield* stream.writeFrame(FrameType.CHALLENGE, Buffer.concat([nonce, keyPair.publicKey]), 0);
  const ack = yield* stream.readFrame(false);
  requireFrame(ack, FrameType.HELLO_ACK, PROOF_LENGTH);
  if (!constantTimeEqual(clientProof(crypto, psk, transcript), ack.payload)) {
    throw new SdkError("AuthError", "Client HMAC verification failed");
  }
  const sessionId = new Uint8Array(SESSION_ID_LENGTH);
  crypto.randomFill(sessionId);
  const keys = deriveKeys(crypto, "server", keyPair, transcript, sessionId);
  stream.setSessionKeys(keys);
  const proof = serverProof(crypto, psk, transcript, sessionId);
  yield* stream.writeFrame(FrameType.SESSION_OK, Buffer.concat([sessionId, proof]), 0);
  return { deviceId: transcript.deviceId, sessionId, keys };
}

/** The SDK derives before the proofs are checked; only the time that it takes could tell. */
function deriveKeys(
  crypto: CryptoProvider,
  side: "client" | "server",
  keyPair: ReturnType<CryptoProvider["generateKeyPair"]>,
  { nonce, clientPublicKey, serverPublicKey }: Transcript,
  sessionId: Uint8Array,
): TrafficKeys {
  const peerPublicKey = side === "client" ? serverPublicKey : clientPublicKey;
  const info = sessionKeyInfo(clientPublicKey, serverPublicKey);
  const keys = crypto.deriveTrafficKeys({ side, keyPair, peerPublicKey, salt: nonce, info, sessionId });
  keyPair.wipe();
  if (keys === undefined) throw new SdkError("CryptoError", "X25519 produced all-zero shared secret");
  return keys;
}

function requireFrame(frame: SdkFrame, type: number, length: number): void {
  if (frame.type !== type) throw new SdkError("HandshakeError", `Expected type ${type}, got ${frame.type}`);
  requireLength(frame, length);
}

function requireLength({ type, payload }: SdkFrame, length: number): void {
  if (payload.length !== length) throw new SdkError("HandshakeError", `Bad length of type ${type}: ${payload.length}`);
}
