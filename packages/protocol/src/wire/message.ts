import {
  CHALLENGE_NONCE_LENGTH,
  COOKIE_HELLO_LENGTH,
  COOKIE_LENGTH,
  DEVICE_ID_LENGTH,
  PROOF_LENGTH,
  PUBLIC_KEY_LENGTH,
  SESSION_ID_LENGTH,
} from "../constants.ts";
import { copyBytes } from "./bytes.ts";

/** Plaintext payloads of the handshake (spec section 3). Parsing copies: these values outlive the receive buffer. */
export interface Hello {
  readonly deviceId: Uint8Array;
  readonly publicKey: Uint8Array;
  /** UDP only. */
  readonly cookie: Uint8Array | undefined;
}

export interface Challenge {
  readonly nonce: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface SessionOk {
  readonly sessionId: Uint8Array;
  readonly proof: Uint8Array;
}

const KEY_END = DEVICE_ID_LENGTH + PUBLIC_KEY_LENGTH;

/** Undefined when the length is neither 38 nor 54. */
export function parseHello(payload: Uint8Array): Hello | undefined {
  if (payload.length !== KEY_END && payload.length !== COOKIE_HELLO_LENGTH) return undefined;
  return {
    deviceId: copyBytes(payload, 0, DEVICE_ID_LENGTH),
    publicKey: copyBytes(payload, DEVICE_ID_LENGTH, KEY_END),
    cookie: payload.length === KEY_END ? undefined : copyBytes(payload, KEY_END),
  };
}

export function parseChallenge(payload: Uint8Array): Challenge | undefined {
  if (payload.length !== CHALLENGE_NONCE_LENGTH + PUBLIC_KEY_LENGTH) return undefined;
  return {
    nonce: copyBytes(payload, 0, CHALLENGE_NONCE_LENGTH),
    publicKey: copyBytes(payload, CHALLENGE_NONCE_LENGTH),
  };
}

/** The proof in HELLO_ACK. */
export function parseHelloAck(payload: Uint8Array): Uint8Array | undefined {
  return payload.length === PROOF_LENGTH ? copyBytes(payload) : undefined;
}

export function parseSessionOk(payload: Uint8Array): SessionOk | undefined {
  if (payload.length !== SESSION_ID_LENGTH + PROOF_LENGTH) return undefined;
  return { sessionId: copyBytes(payload, 0, SESSION_ID_LENGTH), proof: copyBytes(payload, SESSION_ID_LENGTH) };
}

/** The cookie in HELLO_RETRY. */
export function parseHelloRetry(payload: Uint8Array): Uint8Array | undefined {
  return payload.length === COOKIE_LENGTH ? copyBytes(payload) : undefined;
}
