import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { Admission } from "../../src/connection/admission.ts";
import type { Secret } from "../../src/crypto/secret.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { parseHello } from "../../src/wire/message.ts";
import { filled, otherTestPsk, testPsk } from "../support/fixtures.ts";
import { payloadOfBytes, RawClient } from "../support/raw-peer.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

function begun(own = false, crypto = defaultCrypto()) {
  const client = new RawClient();
  const hello = parseHello(payloadOfBytes(client.hello()));
  if (hello === undefined) throw new Error("no HELLO");
  const admission = new Admission(crypto, hello, own);
  const challenge = encodeFrame(FrameType.CHALLENGE, 0, admission.handshake.challenge());
  return { admission, proof: payloadOfBytes(client.answer(challenge)) };
}

const decide = (admission: Admission) => admission.decide(() => filled(16, 1));

describe("an admission", () => {
  it("waits for whichever of proof and keys comes last", () => {
    const one = begun();
    expect(decide(one.admission)).toBe("waiting");
    one.admission.provideKeys([testPsk()]);
    expect(decide(one.admission)).toBe("waiting");
    one.admission.giveProof(one.proof);
    expect(decide(one.admission)).toMatchObject({ keyIndex: 0 });

    const two = begun();
    two.admission.giveProof(two.proof);
    expect(decide(two.admission)).toBe("waiting");
    two.admission.provideKeys([testPsk()]);
    expect(decide(two.admission)).toMatchObject({ keyIndex: 0 });
  });

  it.each<[string, readonly Secret[], boolean, string]>([
    ["a wrong key", [otherTestPsk()], false, "wrong-key"],
    ["no key", [], false, "unknown-device"],
    ["our own device id, whatever the key", [testPsk()], true, "own-device-id"],
  ])("refuses %s, forgets the proof, and takes another", (_, candidates, own, refused) => {
    const { admission, proof } = begun(own);
    admission.provideKeys(candidates);
    admission.giveProof(proof);
    expect(admission.sameProof(proof)).toBe(true);
    expect(decide(admission)).toEqual({ refused });
    expect(admission.hasProof).toBe(false);
    expect(admission.sameProof(proof)).toBe(false);
    admission.giveProof(filled(32, 1));
    expect(decide(admission)).toEqual({ refused });
  });

  it("knows the proof that it was given, and no other", () => {
    const { admission, proof } = begun();
    admission.giveProof(proof);
    expect(admission.hasProof).toBe(true);
    expect(admission.sameProof(proof.slice())).toBe(true);
    expect(admission.sameProof(filled(32, 1))).toBe(false);
  });

  it("forgets its key pair and the candidate keys, but does not wipe what is the caller's", () => {
    const ledger = wipeLedger(defaultCrypto());
    const { admission, proof } = begun(false, ledger.provider);
    const psk = testPsk();
    admission.provideKeys([psk]);
    admission.giveProof(proof);
    admission.wipe();
    expect(ledger.alive).toEqual([]);
    expect(psk.wiped).toBe(false);
    expect(decide(admission)).toBe("waiting");
  });
});
