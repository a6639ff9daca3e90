import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomFillSync,
} from "node:crypto";
import { constants, copyBytes, Secret, UsageError } from "@usmp/protocol";
import { type Primitives, type SymmetricKey, X25519KeyPair } from "./primitives.ts";

/**
 * The primitives of node:crypto, that is of OpenSSL.
 *
 * Keys are KeyObjects wherever they can be: with the raw bytes instead, each HMAC and each GCM frame costs Node 24 about 9 us
 * more. A KeyObject cannot be wiped by hand. Wiping drops the reference; OpenSSL overwrites the key when the garbage collector
 * frees it, and test/memory shows that.
 */
export const nodePrimitives: Primitives = {
  name: "node",

  randomFill(out: Uint8Array): void {
    randomFillSync(out);
  },

  generateX25519(): X25519KeyPair {
    // The public key must come with the pair: exporting it as JWK later can deadlock Node 20, and SPKI costs 66 us more.
    const pair: unknown = generateKeyPairSync("x25519", { publicKeyEncoding: { format: "jwk" } });
    const { privateKey, publicKey } = pair as GeneratedKeyPair;
    return new NodeKeyPair(privateKey, copyBytes(Buffer.from(publicKey.x, "base64url")));
  },

  importX25519(privateKey: Uint8Array): X25519KeyPair {
    // PKCS #8 and not JWK: a JWK would put the private key into a string, which nobody can wipe.
    const der = new Uint8Array(new ArrayBuffer(PKCS8_PREFIX.length + privateKey.length));
    der.set(PKCS8_PREFIX);
    der.set(privateKey, PKCS8_PREFIX.length);
    try {
      const key = createPrivateKey({ key: Buffer.from(der.buffer), format: "der", type: "pkcs8" });
      const spki = createPublicKey(key).export({ format: "der", type: "spki" });
      return new NodeKeyPair(key, copyBytes(spki.subarray(-constants.PUBLIC_KEY_LENGTH)));
    } finally {
      der.fill(0);
    }
  },

  hkdfSha256(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Secret {
    return Secret.adopt(new Uint8Array(hkdfSync("sha256", createSecretKey(ikm), salt, info, length)));
  },

  hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
    const hmac = createHmac("sha256", createSecretKey(key));
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },

  symmetricKey(key: Uint8Array): SymmetricKey {
    return new NodeSymmetricKey(createSecretKey(key));
  },
};

/** What generateKeyPairSync() gives when only the public key has an encoding; the declarations of Node's types lack this case. */
interface GeneratedKeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: { readonly x: string };
}

/** PrivateKeyInfo of RFC 5958 for X25519 (RFC 8410 section 7), up to the 32 key bytes. */
const PKCS8_PREFIX = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20);

const { TAG_LENGTH } = constants;
const CIPHER = "aes-256-gcm";
const GCM_OPTIONS = { authTagLength: TAG_LENGTH };

class NodeKeyPair extends X25519KeyPair {
  readonly publicKey: Uint8Array;
  #privateKey: KeyObject | undefined;

  constructor(privateKey: KeyObject, publicKey: Uint8Array) {
    super();
    this.#privateKey = privateKey;
    this.publicKey = publicKey;
  }

  exchange(peerPublicKey: Uint8Array): Secret | undefined {
    if (this.#privateKey === undefined) {
      throw new UsageError(
        "secret-wiped",
        "this key pair was wiped and cannot be used again: generate a new one per connection",
      );
    }
    const x = Buffer.from(peerPublicKey.buffer, peerPublicKey.byteOffset, peerPublicKey.length).toString("base64url");
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
    try {
      return Secret.adopt(diffieHellman({ privateKey: this.#privateKey, publicKey }));
    } catch (error) {
      if (isAllZeroSecret(error)) return undefined;
      throw error;
    }
  }

  wipe(): void {
    this.#privateKey = undefined;
  }
}

/** How OpenSSL 3 reports that X25519 gave an all-zero secret; with a well-formed key it has no other way to fail. */
function isAllZeroSecret(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_OSSL_FAILED_DURING_DERIVATION";
}

class NodeSymmetricKey implements SymmetricKey {
  #key: KeyObject | undefined;

  constructor(key: KeyObject) {
    this.#key = key;
  }

  seal(nonce: Uint8Array, aad: Uint8Array, text: Uint8Array): void {
    const tagStart = text.length - TAG_LENGTH;
    const cipher = createCipheriv(CIPHER, this.#live(), nonce, GCM_OPTIONS);
    cipher.setAAD(aad);
    text.set(cipher.update(text.subarray(0, tagStart)));
    cipher.final();
    text.set(cipher.getAuthTag(), tagStart);
  }

  open(nonce: Uint8Array, aad: Uint8Array, text: Uint8Array, out: Uint8Array): boolean {
    const tagStart = text.length - TAG_LENGTH;
    const decipher = createDecipheriv(CIPHER, this.#live(), nonce, GCM_OPTIONS);
    decipher.setAAD(aad);
    decipher.setAuthTag(text.subarray(tagStart));
    const plaintext = decipher.update(text.subarray(0, tagStart));
    try {
      decipher.final();
    } catch {
      // The tag is all that final() checks in GCM.
      return false;
    }
    out.set(plaintext);
    return true;
  }

  hmacSha256(message: Uint8Array): Uint8Array {
    return createHmac("sha256", this.#live()).update(message).digest();
  }

  wipe(): void {
    this.#key = undefined;
  }

  #live(): KeyObject {
    if (this.#key === undefined) {
      throw new UsageError(
        "secret-wiped",
        "these traffic keys were wiped and cannot be used again: the session is over",
      );
    }
    return this.#key;
  }
}
