/** A client's half of the protocol by hand, for attackers: it says what no honest client would. */
import { nodeCrypto } from "@usmp/crypto";
import { clientProof, encodeFrame, FrameType, Secret, sealedLength, sealFrame, sessionKeyInfo } from "@usmp/protocol";

const NOTHING = new Uint8Array(0);

/** @param {number} length */
export function randomBytes(length) {
  const bytes = new Uint8Array(length);
  nodeCrypto.randomFill(bytes);
  return bytes;
}

/** A HELLO under an id and a public key that are made up: no key pair is needed to cost a server one. */
export function madeUpHello() {
  const body = randomBytes(38);
  return {
    bare: encodeFrame(FrameType.HELLO, 0, body),
    /** @param {Uint8Array} cookie */
    withCookie: (cookie) => encodeFrame(FrameType.HELLO, 1, Buffer.concat([body, cookie])),
  };
}

export class RawClient {
  #psk;
  #deviceId = randomBytes(6);
  #keyPair = nodeCrypto.generateKeyPair();
  #nonce = NOTHING;
  #serverKey = NOTHING;

  /** @param {Uint8Array} psk */
  constructor(psk) {
    this.#psk = new Secret(psk);
  }

  /** @param {Uint8Array} [cookie] */
  hello(cookie = NOTHING) {
    const body = Buffer.concat([this.#deviceId, this.#keyPair.publicKey, cookie]);
    return encodeFrame(FrameType.HELLO, cookie.length === 0 ? 0 : 1, body);
  }

  /** HELLO_ACK. @param {Uint8Array} challenge the frame */
  answer(challenge) {
    this.#nonce = Uint8Array.from(challenge.subarray(12, 44));
    this.#serverKey = Uint8Array.from(challenge.subarray(44, 76));
    const transcript = {
      deviceId: this.#deviceId,
      nonce: this.#nonce,
      clientPublicKey: this.#keyPair.publicKey,
      serverPublicKey: this.#serverKey,
    };
    return encodeFrame(FrameType.HELLO_ACK, 2, clientProof(nodeCrypto, this.#psk, transcript));
  }

  /**
   * The session of a SESSION_OK frame: a function that seals.
   * @param {Uint8Array} sessionOk
   * @returns {(type: import("@usmp/protocol").FrameType, seq: number, plaintext?: Uint8Array) => Uint8Array}
   */
  session(sessionOk) {
    const sessionId = Uint8Array.from(sessionOk.subarray(12, 28));
    const keys = nodeCrypto.deriveTrafficKeys({
      side: "client",
      keyPair: this.#keyPair,
      peerPublicKey: this.#serverKey,
      salt: this.#nonce,
      info: sessionKeyInfo(this.#keyPair.publicKey, this.#serverKey),
      sessionId,
    });
    if (keys === undefined) throw new Error("the server's key share is weak");
    return (type, seq, plaintext = NOTHING) => {
      const frame = new Uint8Array(sealedLength(plaintext.length));
      sealFrame(frame, keys.transmit, sessionId, type, seq, plaintext);
      return frame;
    };
  }
}
