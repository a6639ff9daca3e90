import { VERSION } from "../constants.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Secret } from "../crypto/secret.ts";
import { FrameType } from "../wire/frame.ts";

/** What both proofs of one handshake cover besides their own prefix. */
export interface Transcript {
  readonly deviceId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly clientPublicKey: Uint8Array;
  readonly serverPublicKey: Uint8Array;
}

const CLIENT_PREFIX = Uint8Array.of(0xcd, 0xab, VERSION, FrameType.HELLO_ACK);
const SERVER_PREFIX = Uint8Array.of(0xcd, 0xab, VERSION, FrameType.SESSION_OK);

/** HMAC(PSK, CD AB 02 03 || nonce || device_id || pub_C || pub_S): the client's proof. Spec section 3. */
export function clientProof(crypto: CryptoProvider, psk: Secret, transcript: Transcript): Uint8Array {
  const { nonce, deviceId, clientPublicKey, serverPublicKey } = transcript;
  return crypto.hmacSha256(psk, [CLIENT_PREFIX, nonce, deviceId, clientPublicKey, serverPublicKey]);
}

/** HMAC(PSK, CD AB 02 04 || nonce || session_id || pub_C || pub_S): the server's proof. Spec section 3. */
export function serverProof(
  crypto: CryptoProvider,
  psk: Secret,
  transcript: Transcript,
  sessionId: Uint8Array,
): Uint8Array {
  const { nonce, clientPublicKey, serverPublicKey } = transcript;
  return crypto.hmacSha256(psk, [SERVER_PREFIX, nonce, sessionId, clientPublicKey, serverPublicKey]);
}
