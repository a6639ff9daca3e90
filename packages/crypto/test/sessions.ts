import type { CryptoProvider, Secret, TrafficKeys } from "@usmp/protocol";

export interface SessionEnds {
  readonly client: TrafficKeys;
  readonly server: TrafficKeys;
}

const HEADER_AND_NONCE = 24;
const OVERHEAD = 40;

/** Both ends of a session with fresh key pairs; either end may use either provider. */
export function establish(clientCrypto: CryptoProvider, serverCrypto: CryptoProvider): SessionEnds {
  const [clientPair, serverPair] = [clientCrypto.generateKeyPair(), serverCrypto.generateKeyPair()];
  const shared = { salt: new Uint8Array(32), info: Uint8Array.of(1, 2, 3), sessionId: new Uint8Array(16) };
  serverCrypto.randomFill(shared.salt);
  return {
    client: required(
      clientCrypto.deriveTrafficKeys({
        ...shared,
        side: "client",
        keyPair: clientPair,
        peerPublicKey: serverPair.publicKey,
      }),
    ),
    server: required(
      serverCrypto.deriveTrafficKeys({
        ...shared,
        side: "server",
        keyPair: serverPair,
        peerPublicKey: clientPair.publicKey,
      }),
    ),
  };
}

/** Imports known keys at both ends. */
export function importSession(crypto: CryptoProvider, clientToServer: Secret, serverToClient: Secret): SessionEnds {
  const sessionId = new Uint8Array(16);
  return {
    client: crypto.importTrafficKeys("client", clientToServer, serverToClient, sessionId),
    server: crypto.importTrafficKeys("server", clientToServer, serverToClient, sessionId),
  };
}

/** A frame with `plaintext` in place, ready to be sealed, at `offset` of a larger buffer; what the header says is of no matter here. */
export function frameOf(plaintext: Uint8Array, offset = 0): Uint8Array {
  const frame = new Uint8Array(new ArrayBuffer(offset + OVERHEAD + plaintext.length), offset);
  for (let i = 0; i < HEADER_AND_NONCE; i++) frame[i] = 0xa0 + i;
  frame.set(plaintext, HEADER_AND_NONCE);
  return frame;
}

/** The plaintext of a sealed frame, or undefined when it does not open. */
export function opened(keys: TrafficKeys, frame: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array(frame.length - OVERHEAD);
  return keys.receive.open(frame, out) ? out : undefined;
}

export function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("expected traffic keys, got undefined");
  return value;
}
