import { nodeCrypto } from "@usmp/crypto";
import { encodeFrame, encodeUtack, FrameType, instant, Secret, writeCrc } from "@usmp/protocol";
import { DatagramLink, type LinkEvent, NonceLedger, SeededRandom, StreamLink, seededCrypto } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { establish, SESSION_ID, sealed } from "./session.ts";

describe("where frames are sealed, the nonce ledger", () => {
  test("lets a session's two directions and its epochs count from zero, each under its own key", () => {
    const ledger = new NonceLedger();
    const { client, server } = establish(ledger.watch(nodeCrypto));
    const salt = new Uint8Array(32);
    for (const keys of [client, server, client.next("us", salt, salt), server.next("peer", salt, salt)]) {
      for (let seq = 0; seq < 3; seq++) sealed(keys, seq);
    }
    expect(ledger).toMatchObject({ sealedFrames: 12, keys: 4 });
  });

  test("refuses a sequence number that is used again, even for the same message", () => {
    const { client } = establish(new NonceLedger().watch(nodeCrypto));
    sealed(client, 5);
    expect(() => sealed(client, 5)).toThrow(/nonce 05000000[0-9a-f]{16} \(seq 5\) is used a second time/);
  });

  test("refuses one key in both directions, though two objects hold it", () => {
    const testKey = new Secret(new Uint8Array(32).fill(1));
    const crypto = new NonceLedger().watch(nodeCrypto);
    sealed(crypto.importTrafficKeys("client", testKey, testKey, SESSION_ID), 0);
    const other = crypto.importTrafficKeys("server", testKey, testKey, SESSION_ID);
    expect(() => sealed(other, 0)).toThrow("is used a second time");
  });

  test("refuses a session whose randomness repeats an earlier one's", () => {
    const ledger = new NonceLedger();
    const run = (): unknown => sealed(establish(ledger.watch(seededCrypto(nodeCrypto, new SeededRandom(1)))).client, 0);
    run();
    expect(run).toThrow("is used a second time");
  });

  test("allows a key a second series under another session id: the nonces differ", () => {
    const ledger = new NonceLedger();
    const { client } = establish(ledger.watch(nodeCrypto));
    sealed(client, 0);
    sealed(client, 0, "hello", new Uint8Array(16));
    expect(ledger.sealedFrames).toBe(2);
  });
});

describe("on the wire, the nonce ledger", () => {
  test("takes sealed frames, their retransmissions, and whatever carries no nonce", () => {
    const { ledger, link, client } = watchedLink();
    const frame = sealed(client, 0);
    for (const datagram of [frame, frame, encodeUtack(5, 0), encodeFrame(FrameType.HELLO, 0, new Uint8Array(38))]) {
      link.send("client-to-server", datagram, instant(0));
    }
    expect(ledger).toMatchObject({ sealedFrames: 1, wireFrames: 1 });
  });

  test("refuses a frame that differs from the sealed one in any bit but the CRC's", () => {
    const { link, client } = watchedLink();
    const frame = sealed(client, 0);
    for (const offset of [4, 8, 12, 23, 24, frame.length - 1]) {
      const forged = frame.slice();
      forged[offset] = (forged[offset] as number) ^ 1;
      writeCrc(forged);
      expect(() => link.send("client-to-server", forged, instant(0)), `offset ${offset}`).toThrow(
        "none that was sealed",
      );
    }
  });

  test("refuses a session frame that was never sealed: plaintext cannot leave unseen", () => {
    const { link } = watchedLink();
    const plain = encodeFrame(FrameType.DATA, 0, new TextEncoder().encode("a plaintext that nobody sealed at all"));
    expect(() => link.send("client-to-server", plain, instant(0))).toThrow("none that was sealed");
  });

  test("looks only at what was sent, not at what the link or an attacker made of it", () => {
    const { ledger, link, client } = watchedLink(1);
    link.send("client-to-server", sealed(client, 0), instant(0));
    link.inject("client-to-server", new Uint8Array(40), instant(0), "attacker");
    expect(link.deliver(instant(0))).toHaveLength(2);
    expect(ledger.wireFrames).toBe(1);
  });

  test("finds every frame of a stream's writes, and refuses a write that breaks a frame in two", () => {
    const ledger = new NonceLedger();
    const { client } = establish(ledger.watch(nodeCrypto));
    const link = new StreamLink({ random: new SeededRandom(1), tap: ledger.observeStream });
    const frames = [0, 1, 2].map((seq) => sealed(client, seq, "x".repeat(seq)));
    link.send("client-to-server", Buffer.concat(frames), instant(0));
    expect(ledger.wireFrames).toBe(3);
    for (const end of [-1, 5]) {
      const broken = sealed(client, 10 + end).slice(0, end);
      expect(() => link.send("client-to-server", broken, instant(0))).toThrow("does not hold whole frames");
    }
  });

  test("passes over what other events tell", () => {
    const ledger = new NonceLedger();
    const event: Omit<LinkEvent, "type"> = {
      direction: "client-to-server",
      bytes: new Uint8Array(9),
      at: instant(0),
      index: 0,
    };
    ledger.observeStream({ type: "delivered", ...event });
    expect(() => ledger.observeStream({ type: "sent", ...event })).toThrow("does not hold whole frames");
  });
});

function watchedLink(damage = 0) {
  const ledger = new NonceLedger();
  const link = new DatagramLink({ random: new SeededRandom(1), conditions: { damage }, tap: ledger.observe });
  return { ledger, link, ...establish(ledger.watch(nodeCrypto)) };
}
