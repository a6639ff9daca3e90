import { createHmac } from "node:crypto";
import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { clientProof, serverProof, type Transcript } from "../../src/handshake/transcript.ts";
import { filled, testPsk } from "../support/fixtures.ts";
import { fromHex, toHex } from "../support/hex.ts";

const transcript: Transcript = {
  deviceId: filled(6, 1),
  nonce: filled(32, 2),
  clientPublicKey: filled(32, 3),
  serverPublicKey: filled(32, 4),
};
const sessionId = filled(16, 5);
const hmac = (...parts: Uint8Array[]): string =>
  createHmac("sha256", testPsk().expose()).update(Buffer.concat(parts)).digest("hex");

describe("a proof is the HMAC of spec section 3:", () => {
  it("the client's covers CD AB 02 03, nonce, device id and both public keys", () => {
    expect(toHex(clientProof(defaultCrypto(), testPsk(), transcript))).toBe(
      hmac(fromHex("cdab0203"), filled(32, 2), filled(6, 1), filled(32, 3), filled(32, 4)),
    );
  });

  it("the server's covers CD AB 02 04, nonce, session id and both public keys", () => {
    expect(toHex(serverProof(defaultCrypto(), testPsk(), transcript, sessionId))).toBe(
      hmac(fromHex("cdab0204"), filled(32, 2), sessionId, filled(32, 3), filled(32, 4)),
    );
  });
});

describe("a proof changes with everything that it covers:", () => {
  it.each(["deviceId", "nonce", "clientPublicKey", "serverPublicKey"] as const)("%s", (field) => {
    const other: Transcript = { ...transcript, [field]: filled(transcript[field].length, 9) };
    const same =
      toHex(clientProof(defaultCrypto(), testPsk(), other)) ===
      toHex(clientProof(defaultCrypto(), testPsk(), transcript));
    expect(same).toBe(false);
    const serverSame =
      toHex(serverProof(defaultCrypto(), testPsk(), other, sessionId)) ===
      toHex(serverProof(defaultCrypto(), testPsk(), transcript, sessionId));
    expect(serverSame).toBe(field === "deviceId");
  });

  it("the session id, in the server's", () => {
    expect(toHex(serverProof(defaultCrypto(), testPsk(), transcript, filled(16, 6)))).not.toBe(
      toHex(serverProof(defaultCrypto(), testPsk(), transcript, sessionId)),
    );
  });
});
