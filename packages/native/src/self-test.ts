import { type CryptoProvider, Secret } from "@usmp/protocol";

/**
 * A session that the Python SDK `usmp` 1.2.2 recorded (packages/protocol/test/vectors/usmp-v2.json, the first): its key exchange, the
 * derivation, the cipher and the CRC decide the frame, and the proof shows the MAC. Test keys, published with the vectors.
 */
const KNOWN = {
  clientPrivateTestKey: "a9bfbead8d40dedf13453799f6d933cee07ab170acdb123cfe22f1417ee60133",
  clientPublic: "c47dbd619af538716b1a9230c66a15c259099cf1c01071510db810c92039135b",
  serverPublic: "15403f9a644d0716770c180d9967128aae0b9db885dbe23684c2af8eb5e92774",
  challengeNonce: "15490c949ccd66e07ae0084c1606b48400db262302ca47e6bc6151d8efb77fbd",
  sessionId: "7f28cd9984d9351f974557180cad11b8",
  frame: "cdab02050100000021008771010000007f28cd9984d9351ff877621b9d6b4ca6c4b97a8d215e71aa80cca551ee",
  plaintext: "68656c6c6f",
  pskTestKey: "4f00c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6",
  deviceId: "7ad3e6a99b17",
  proof: "ce4e6f1043e756c9e8c69847db58b6bca55fc503118d4cb08bb4abb18f434f40",
} as const;

/** What the provider computes wrongly; undefined when all is right. */
export function failedSelfTest(crypto: CryptoProvider): string | undefined {
  const info = hex(Buffer.from("usmp-v2").toString("hex") + KNOWN.clientPublic + KNOWN.serverPublic);
  const [salt, sessionId, peerPublicKey] = [hex(KNOWN.challengeNonce), hex(KNOWN.sessionId), hex(KNOWN.serverPublic)];
  const keyPair = crypto.importKeyPair(new Secret(hex(KNOWN.clientPrivateTestKey)));
  const keys = crypto.deriveTrafficKeys({ side: "client", keyPair, peerPublicKey, salt, info, sessionId });
  try {
    if (text(keyPair.publicKey) !== KNOWN.clientPublic) return "its X25519 public key is wrong";
    if (keys === undefined) return "its X25519 exchange fails";
    const plaintext = hex(KNOWN.plaintext);
    const frame = hex(KNOWN.frame);
    frame.set(plaintext, TEXT_START);
    frame.fill(0, TEXT_START + plaintext.length);
    keys.transmit.seal(frame);
    if (text(frame) !== KNOWN.frame) return "a frame that it seals is wrong";
    const out = new Uint8Array(plaintext.length);
    if (!keys.transmit.open(frame, out) || text(out) !== KNOWN.plaintext) return "it does not open what it sealed";
    frame[TEXT_START] = (frame[TEXT_START] as number) ^ 1;
    if (keys.transmit.open(frame, out)) return "it opens a forged frame";
    const transcript = `cdab0203${KNOWN.challengeNonce}${KNOWN.deviceId}${KNOWN.clientPublic}${KNOWN.serverPublic}`;
    const proof = crypto.hmacSha256(new Secret(hex(KNOWN.pskTestKey)), [hex(transcript)]);
    return text(proof) === KNOWN.proof ? undefined : "its HMAC is wrong";
  } finally {
    keys?.wipe();
    keyPair.wipe();
  }
}

/** Where the text of a session frame begins: behind its header and its nonce. */
const TEXT_START = 24;

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, "hex"));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
