import { constants, encodeFrame, FrameType, type FrameTypeName } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import type { Session } from "usmp";
import { describe, expect, test } from "vitest";
import { RawClient, tampered, typeOf } from "../../../protocol/test/support/raw-peer.ts";
import { receiveTexts, sendUnwatched, serve, textOf } from "../support/loopback.ts";
import { RawUdp, type RawUdpMeeting, rawUdpClient, rawUdpServer } from "../support/raw-udp.ts";

const { LAST_SEQ, MAX_FRAGMENT_LENGTH } = constants;
const FULL_FRAGMENT = new Uint8Array(MAX_FRAGMENT_LENGTH).fill(7);

/** Every rule holds at either end: the attacker is the client of our server, or the server of our client. */
const ENDS: readonly (readonly [string, () => Promise<RawUdpMeeting>])[] = [
  ["our server", async () => rawUdpClient(await serve())],
  ["our client", () => rawUdpServer()],
];

describe.each(ENDS)("over UDP %s", (end, meet) => {
  describe("drops without acknowledgement, counts, and lives on after", () => {
    test.each<readonly [string, string, (meeting: RawUdpMeeting) => Uint8Array]>([
      ["a nonce whose seq is not the header's", "bad-nonce", ({ keys }) => tampered(keys.seal("DATA", 0), 12)],
      ["a nonce of another session", "bad-nonce", ({ keys }) => tampered(keys.seal("DATA", 0), 23)],
      ["a tag that does not verify", "bad-tag", ({ keys }) => tampered(keys.seal("DATA", 0), 24)],
      ["a bad CRC", "bad-crc", ({ keys }) => keys.seal("DATA", 0).map((byte, at) => (at === 11 ? byte ^ 1 : byte))],
      ["a frame type that does not exist", "unknown-type", () => encodeFrame(0x0c as FrameType, 0, FULL_FRAGMENT)],
      ["an unsealed PING", "bad-length", () => encodeFrame(FrameType.PING, 0, new Uint8Array())],
      ["another version", "unsupported-version", ({ keys }) => tampered(keys.seal("DATA", 0), 2, 0x03)],
      ["junk", "bad-magic", () => new Uint8Array(100).fill(0x41)],
      ["a datagram that ends too early", "truncated", ({ keys }) => keys.seal("DATA", 0).subarray(0, 30)],
      ["one byte behind a frame", "trailing-bytes", ({ keys }) => Buffer.concat([keys.seal("DATA", 0), Buffer.of(0)])],
      [
        "two frames in one datagram",
        "trailing-bytes",
        ({ keys }) => Buffer.concat([keys.seal("DATA", 0), keys.seal("DATA", 1)]),
      ],
      ["ERROR", "error-frame", () => encodeFrame(FrameType.ERROR, 0, new Uint8Array(2))],
      ["a UTACK of nothing", "unmatched-utack", ({ keys }) => keys.utack(keys.seal("DATA", 9))],
      ["PING with a plaintext", "bad-length", ({ keys }) => keys.seal("PING", 0, new Uint8Array(1))],
      ["BYE with a plaintext", "bad-length", ({ keys }) => keys.seal("BYE", 0, new Uint8Array(1))],
      ["REKEY with a salt of 31 bytes", "bad-length", ({ keys }) => keys.seal("REKEY", 0, new Uint8Array(31))],
      ["DATA with the last seq", "sequence-exhausted", ({ keys }) => keys.seal("DATA", LAST_SEQ)],
      ["PING with the last seq", "sequence-exhausted", ({ keys }) => keys.seal("PING", LAST_SEQ)],
      ["a forged BYE with the last seq", "bad-tag", ({ keys }) => tampered(keys.seal("BYE", LAST_SEQ), 24)],
    ])("%s", async (_name, cause, craft) => {
      const { listening, meeting } = await meetWithServer(end, meet);
      await meeting.raw.send(craft(meeting));
      await meeting.raw.send(meeting.keys.seal("DATA", 3, Buffer.from("alive")));
      const passed = await meeting.raw.expectDatagram(meeting.keys.expectedUtack("DATA", 3));
      expect(passed).toEqual([]);
      expect(textOf(await meeting.ours.receive())).toBe("alive");
      const dropped = { ...listening?.server.statistics.dropped, ...meeting.ours.statistics.dropped };
      expect(dropped).toEqual({ [cause]: 1 });
    });

    test("the ninth PING of one second, and nothing else, while all of them were authentic", async () => {
      const { ours, raw, keys } = await meet();
      for (let seq = 0; seq < 9; seq++) await raw.send(keys.seal("PING", seq));
      await raw.send(keys.seal("DATA", 9, Buffer.from("alive")));
      await raw.expectDatagram(keys.expectedUtack("DATA", 9));
      expect(textOf(await ours.receive())).toBe("alive");
      expect(ours.statistics.dropped).toEqual({ "control-flood": 1 });
      expect(ours.open).toBe(true);
    });
  });

  describe("drops the partial message and lives on after", () => {
    test.each<readonly [string, string, readonly (readonly [FrameTypeName, number, Uint8Array?])[]]>([
      [
        "a gap in a run of fragments",
        "broken-fragments",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["DATA", 2],
        ],
      ],
      [
        "PING between fragments",
        "broken-fragments",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["PING", 1],
        ],
      ],
      [
        "fragments out of order",
        "broken-fragments",
        [
          ["DATA_FRAG", 1, FULL_FRAGMENT],
          ["DATA_FRAG", 0],
          ["DATA", 2],
        ],
      ],
      ["a fifth fragment", "too-many-fragments", fiveFragments()],
    ])("%s", async (_name, cause, frames) => {
      const { ours, raw, keys } = await meet();
      for (const [type, seq, plaintext] of frames) await raw.send(keys.seal(type, seq, plaintext));
      await raw.send(keys.seal("DATA", 9, Buffer.from("alive")));
      const received: (Uint8Array | undefined)[] = [];
      do received.push(await ours.receive());
      while (textOf(received.at(-1)) !== "alive");
      // Nothing of the broken message, but for a frame that stands for itself.
      expect(received.every((message) => (message?.length ?? 0) < MAX_FRAGMENT_LENGTH)).toBe(true);
      expect(Object.keys(ours.statistics.dropped)).toContain(cause);
    });
  });

  test("takes gaps in seq as normal: it never waits for a missing one", async () => {
    const { ours, raw, keys } = await meet();
    for (const seq of [5, 6, 200, 70_000]) await raw.send(keys.seal("DATA", seq, Buffer.from(`${seq}`)));
    expect(await receiveTexts(ours, 4)).toEqual(["5", "6", "200", "70000"]);
  });

  test("ends with an authentic BYE, also with the last seq", async () => {
    for (const seq of [0, LAST_SEQ]) {
      const { ours, raw, keys } = await meet();
      const bye = keys.seal("BYE", seq);
      await raw.send(bye);
      await raw.expectDatagram(keys.expectedUtack("BYE", seq));
      expect(await ours.closed).toEqual({ code: "closed-by-peer" });
    }
  });

  test("acknowledges PING and answers it at once while the application reads nothing", async () => {
    const { raw, keys } = await meet();
    await raw.send(keys.seal("DATA", 0, Buffer.from("unread")));
    await raw.send(keys.seal("PING", 1));
    await raw.expectDatagram(keys.expectedUtack("PING", 1));
    expect(keys.open(await raw.expectFrame("PONG"))).toMatchObject({ type: "PONG" });
  });

  test.each(["from 0 again, as the field does", "where it was"])(
    "follows a REKEY after which the peer counts %s",
    async (counts) => {
      const { ours, raw, keys } = await meet();
      for (let seq = 0; seq < 100; seq++) {
        await raw.send(keys.seal("DATA", seq));
        await raw.expectDatagram(keys.expectedUtack("DATA", seq));
        await ours.receive();
      }
      const salt = new Uint8Array(32).fill(0x11);
      await raw.send(keys.seal("REKEY", 100, salt));
      await raw.expectDatagram(keys.expectedUtack("REKEY", 100));
      keys.rekey("us", salt);
      const seq = counts === "where it was" ? 101 : 0;
      await raw.send(keys.seal("DATA", seq, Buffer.from("new keys")));
      await raw.expectDatagram(keys.expectedUtack("DATA", seq));
      expect(textOf(await ours.receive())).toBe("new keys");
      sendUnwatched(ours, "answer");
      expect(keys.open(await raw.expectFrame("DATA")).plaintext).toEqual(new Uint8Array(Buffer.from("answer")));
      expect(ours.statistics.epoch).toBe(1);
    },
  );

  test("sends one frame at a time and the next only after an authentic UTACK", async () => {
    const { ours, raw, keys } = await meet();
    const acknowledged: string[] = [];
    const sending = ["first", "second"].map((text) => ours.send(text).then(() => acknowledged.push(text)));
    const first = await raw.expectFrame("DATA");
    expect(String(Buffer.from(keys.open(first).plaintext))).toBe("first");
    await raw.send(forgedUtack(keys.utack(first)));
    // A copy of the first comes, since it is not acknowledged; the second does not.
    expect(await raw.expectFrame("DATA")).toEqual(first);
    expect(acknowledged).toEqual([]);
    await raw.send(keys.utack(first));
    const second = await raw.expectFrame("DATA");
    expect(String(Buffer.from(keys.open(second).plaintext))).toBe("second");
    await raw.send(keys.utack(second));
    await Promise.all(sending);
    expect(acknowledged).toEqual(["first", "second"]);
  });
});

describe("retransmission over UDP, on a virtual clock", () => {
  test("doubles its timeout from 500 ms to 5 s, goes on past the field's five sends, and ends with the silence of 60 s", async () => {
    const clock = new VirtualClock();
    const { ours, raw } = await rawUdpServer({ clock });
    const lost = ours.send("is anybody there");
    const original = await raw.expectFrame("DATA");
    const gaps: number[] = [];
    let before = clock.now();
    for (let next = clock.nextAlarmAt(); ours.open && next !== undefined; next = clock.nextAlarmAt()) {
      const left = frames(ours);
      clock.advance(next - clock.now());
      // Beside the message a PING goes out after 30 s, and comes again as well.
      for (let count = frames(ours) - left; count > 0; count--) {
        const copy = await raw.datagram();
        if (typeOf(copy) !== "DATA") continue;
        expect(copy).toEqual(original);
        gaps.push(clock.now() - before);
        before = clock.now();
      }
    }
    expect(gaps.slice(0, 5)).toEqual([500, 1_000, 2_000, 4_000, 5_000]);
    expect(gaps.length).toBeGreaterThan(10);
    expect(Math.max(...gaps)).toBe(5_000);
    expect(await ours.closed).toEqual({ code: "peer-silent", silentMs: 60_000 });
    await expect(lost).rejects.toMatchObject({ code: "delivery-unknown" });
  });
});

describe("moving over UDP", () => {
  test("a server follows its client to a new address with an authentic, fresh frame, and only with one", async () => {
    const listening = await serve();
    const { ours, raw, keys } = await rawUdpClient(listening);
    await raw.send(keys.seal("DATA", 5, Buffer.from("at home")));
    await raw.expectDatagram(keys.expectedUtack("DATA", 5));
    const home = ours.peer;
    const away = await RawUdp.open(listening.address("udp"));

    await away.send(tampered(keys.seal("DATA", 6), 24));
    await away.send(keys.seal("DATA", 5, Buffer.from("at home")));
    await away.send(keys.seal("DATA", 4, Buffer.from("older")));
    await away.expectDatagram(keys.expectedUtack("DATA", 4));
    expect(ours.peer, "forged, replayed or older frames move nothing").toEqual(home);

    await away.send(keys.seal("DATA", 6, Buffer.from("away")));
    await away.expectDatagram(keys.expectedUtack("DATA", 6));
    expect(ours.peer).toEqual({ transport: "udp", ...away.address });
    sendUnwatched(ours, "found you");
    const probe = await away.datagram();
    expect(typeOf(probe), "nothing larger goes there before it was answered from there").toBe("PING");
    await away.send(keys.utack(probe));
    expect(Buffer.from(keys.open(await away.datagram()).plaintext).toString()).toBe("found you");
    expect(await receiveTexts(ours, 3)).toEqual(["at home", "older", "away"]);
  });

  test("a client takes datagrams only from the address that it connected to, authentic or not", async () => {
    const { ours, raw, keys } = await rawUdpServer();
    sendUnwatched(ours, "where I am");
    const frame = await raw.expectFrame("DATA");
    const client = raw.peer;
    const elsewhere = await RawUdp.open(client);
    await elsewhere.send(keys.utack(frame));
    await elsewhere.send(keys.seal("DATA", 0, Buffer.from("from elsewhere")));
    await raw.send(keys.seal("DATA", 1, Buffer.from("from home")));
    expect(textOf(await ours.receive())).toBe("from home");
    expect(ours.peer).toEqual({ transport: "udp", ...raw.address });
  });
});

/** Frames that have left, copies included: each is a datagram. */
function frames({ statistics }: Session): number {
  return statistics.framesSent + statistics.retransmissions;
}

async function meetWithServer(end: string, meet: () => Promise<RawUdpMeeting>) {
  if (end !== "our server") return { listening: undefined, meeting: await meet() };
  const listening = await serve();
  return { listening, meeting: await rawUdpClient(listening, new RawClient()) };
}

function fiveFragments(): readonly (readonly [FrameTypeName, number, Uint8Array?])[] {
  return [0, 1, 2, 3, 4].map((seq) => [seq === 4 ? "DATA" : "DATA_FRAG", seq, FULL_FRAGMENT] as const);
}

/** The right frame with a MAC that is wrong in its last bit. */
function forgedUtack(utack: Uint8Array): Uint8Array {
  return utack.map((byte, at) => (at === utack.length - 1 ? byte ^ 1 : byte));
}
