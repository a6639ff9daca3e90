import { type CryptoProvider, FrameType, type Side, sealedLength, sealFrame, type TrafficKeys } from "@usmp/protocol";

export const SESSION_ID: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i);

/** Both ends' keys of a session whose key pairs and salt come from `crypto`. */
export function establish(crypto: CryptoProvider): Record<Side, TrafficKeys> {
  const clientPair = crypto.generateKeyPair();
  const serverPair = crypto.generateKeyPair();
  const salt = new Uint8Array(32);
  crypto.randomFill(salt);
  const request = { salt, info: Uint8Array.of(1), sessionId: SESSION_ID };
  const client = crypto.deriveTrafficKeys({
    ...request,
    side: "client",
    keyPair: clientPair,
    peerPublicKey: serverPair.publicKey,
  });
  const server = crypto.deriveTrafficKeys({
    ...request,
    side: "server",
    keyPair: serverPair,
    peerPublicKey: clientPair.publicKey,
  });
  if (client === undefined || server === undefined) throw new Error("honest key pairs share a secret that is not zero");
  return { client, server };
}

/** A sealed DATA frame. */
export function sealed(keys: TrafficKeys, seq: number, text = "hello", sessionId = SESSION_ID): Uint8Array {
  const plaintext = new TextEncoder().encode(text);
  const frame = new Uint8Array(sealedLength(plaintext.length));
  sealFrame(frame, keys.transmit, sessionId, FrameType.DATA, seq, plaintext);
  return frame;
}
