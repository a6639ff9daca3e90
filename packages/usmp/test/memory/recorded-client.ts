import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { nodeCrypto } from "@usmp/crypto";
import { type CryptoProvider, Secret } from "@usmp/protocol";
import { derive, exchange } from "../../../crypto/test/memory/known-keys.ts";

/** What a client knows of its session's secrets: all but the server's private key. Computed with node:crypto alone. */
export interface RecordedSession {
  readonly serverPublic: string;
  readonly secrets: ReadonlyMap<string, Uint8Array>;
}

/** A provider for clients that notes the secrets of each handshake it finishes. */
export function recordingCrypto(recorded: RecordedSession[]): CryptoProvider {
  const privateKeys = new Map<string, Uint8Array>();
  return {
    name: "recording",
    randomFill: (out) => nodeCrypto.randomFill(out),
    generateKeyPair() {
      const privateKey = new Uint8Array(randomBytes(32));
      const pair = nodeCrypto.importKeyPair(new Secret(privateKey));
      privateKeys.set(hex(pair.publicKey), privateKey);
      return pair;
    },
    importKeyPair: (privateKey) => nodeCrypto.importKeyPair(privateKey),
    hmacSha256: (key, parts) => nodeCrypto.hmacSha256(key, parts),
    deriveTrafficKeys(request) {
      const serverPublic = hex(request.peerPublicKey);
      const privateKey = privateKeys.get(hex(request.keyPair.publicKey)) as Uint8Array;
      const shared = exchange(privateKey, serverPublic);
      const keys = derive(shared, hex(request.salt), hex(request.info));
      recorded.push({
        serverPublic,
        secrets: new Map([
          ["shared secret", new Uint8Array(shared)],
          ["client-to-server key", keys.subarray(0, 32)],
          ["server-to-client key", keys.subarray(32)],
        ]),
      });
      return nodeCrypto.deriveTrafficKeys(request);
    },
    importTrafficKeys: (...given) => nodeCrypto.importTrafficKeys(...given),
  };
}

/** The public key of 32 private bytes. */
export function publicKeyOf(privateKey: Uint8Array): string {
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), privateKey]);
  const spki = createPublicKey(createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }));
  return spki.export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
