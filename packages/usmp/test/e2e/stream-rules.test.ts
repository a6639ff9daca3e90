import { constants, encodeFrame, FrameType, type FrameTypeName } from "@usmp/protocol";
import { TcpRelay } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { RawClient, seqOf, tampered, typeOf } from "../../../protocol/test/support/raw-peer.ts";
import { expectEcho, open, patterned, receiveTexts, serve, textOf } from "../support/loopback.ts";
import { RawTcp, type RawTcpMeeting, rawTcpClient, rawTcpServer } from "../support/raw-tcp.ts";

const { MAX_FRAGMENT_LENGTH } = constants;
const FULL_FRAGMENT = new Uint8Array(MAX_FRAGMENT_LENGTH).fill(7);

/** Every rule holds at either end: the attacker is the client of our server, or the server of our client. */
const ENDS: readonly (readonly [string, () => Promise<RawTcpMeeting>])[] = [
  ["our server", async () => rawTcpClient(await serve())],
  ["our client", () => rawTcpServer()],
];

describe.each(ENDS)("over TCP %s", (_, meet) => {
  describe("ends the session, tells the application why, and delivers nothing of it", () => {
    test.each<readonly [string, string, (meeting: RawTcpMeeting) => Uint8Array]>([
      ["a seq that skips one", "unexpected-sequence", ({ keys }) => keys.seal("DATA", 1)],
      ["a seq far ahead", "unexpected-sequence", ({ keys }) => keys.seal("DATA", 0x8000_0000)],
      ["a nonce that is not the computed one", "bad-nonce", ({ keys }) => tampered(keys.seal("DATA", 0), 12)],
      ["a tag that does not verify", "bad-tag", ({ keys }) => tampered(keys.seal("DATA", 0), 24)],
      ["a bad CRC", "bad-crc", ({ keys }) => keys.seal("DATA", 0).map((byte, at) => (at === 11 ? byte ^ 1 : byte))],
      ["a frame type that does not exist", "unknown-type", () => encodeFrame(0x0c as FrameType, 0, FULL_FRAGMENT)],
      ["an unsealed PING", "bad-length", () => encodeFrame(FrameType.PING, 0, new Uint8Array())],
      ["unsealed DATA", "bad-nonce", () => encodeFrame(FrameType.DATA, 0, new Uint8Array(28).fill(1))],
      ["a handshake frame", "unexpected-type", () => new RawClient().hello()],
      ["junk instead of a frame", "bad-magic", () => new Uint8Array(12).fill(0x41)],
      ["PING with a plaintext", "bad-length", ({ keys }) => keys.seal("PING", 0, new Uint8Array(1))],
      ["BYE with a plaintext", "bad-length", ({ keys }) => keys.seal("BYE", 0, new Uint8Array(1))],
      ["REKEY with a salt of 31 bytes", "bad-length", ({ keys }) => keys.seal("REKEY", 0, new Uint8Array(31))],
      ["REKEY with a salt of 33 bytes", "bad-length", ({ keys }) => keys.seal("REKEY", 0, new Uint8Array(33))],
    ])("%s", async (_name, violation, craft) => {
      const meeting = await meet();
      await meeting.raw.write(craft(meeting));
      expect(await meeting.ours.closed).toEqual({ code: "protocol-violation", violation, during: "session" });
      expect(await meeting.ours.receive()).toBeUndefined();
      await meeting.raw.ended;
    });

    test.each<readonly [string, string, readonly (readonly [FrameTypeName, number, Uint8Array?])[]]>([
      ["a fifth fragment", "too-many-fragments", [0, 1, 2, 3].map((seq) => ["DATA_FRAG", seq, FULL_FRAGMENT] as const)],
      [
        "PING between fragments",
        "broken-fragments",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["PING", 1],
        ],
      ],
      [
        "PONG between fragments",
        "broken-fragments",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["PONG", 1],
        ],
      ],
      [
        "BYE between fragments",
        "broken-fragments",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["BYE", 1],
        ],
      ],
      [
        "REKEY between fragments",
        "broken-fragments",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["REKEY", 1, new Uint8Array(32)],
        ],
      ],
      [
        "fragments out of order",
        "unexpected-sequence",
        [
          ["DATA_FRAG", 1, FULL_FRAGMENT],
          ["DATA", 0],
        ],
      ],
      [
        "a gap between fragments",
        "unexpected-sequence",
        [
          ["DATA_FRAG", 0, FULL_FRAGMENT],
          ["DATA", 2],
        ],
      ],
    ])("%s", async (_name, violation, frames) => {
      const { ours, raw, keys } = await meet();
      await raw.write(...frames.map(([type, seq, plaintext]) => keys.seal(type, seq, plaintext)));
      expect(await ours.closed).toEqual({ code: "protocol-violation", violation, during: "session" });
      expect(await ours.receive()).toBeUndefined();
    });

    test("the ninth PING of one second, after eight were answered", async () => {
      const { ours, raw, keys } = await meet();
      await raw.write(...Array.from({ length: 9 }, (_, seq) => keys.seal("PING", seq)));
      for (let seq = 0; seq < 8; seq++) {
        const pong = keys.open(await raw.expectFrame());
        expect([pong.type, pong.seq]).toEqual(["PONG", seq]);
      }
      expect(await ours.closed).toMatchObject({ code: "protocol-violation", violation: "control-flood" });
    });

    test("what came before the breach is still delivered", async () => {
      const { ours, raw, keys } = await meet();
      await raw.write(keys.seal("DATA", 0, Buffer.from("good")), keys.seal("DATA", 7, Buffer.from("bad")));
      expect(await ours.closed).toMatchObject({ violation: "unexpected-sequence" });
      expect(await receiveTexts(ours, 2)).toEqual(["good", undefined]);
    });
  });

  test("ignores ERROR, which carries no authentication, whatever is in it", async () => {
    const { ours, raw, keys } = await meet();
    for (const payload of [new Uint8Array(), new Uint8Array(480).fill(0xff)]) {
      await raw.write(encodeFrame(FrameType.ERROR, 0xffff_ffff, payload));
    }
    await raw.write(keys.seal("DATA", 0, Buffer.from("unmoved")));
    expect(textOf(await ours.receive())).toBe("unmoved");
    expect(ours.statistics.dropped).toEqual({ "error-frame": 2 });
  });

  test("answers PING at once while the application reads nothing", async () => {
    const { raw, keys } = await meet();
    await raw.write(keys.seal("DATA", 0, Buffer.from("unread")), keys.seal("PING", 1));
    expect(keys.open(await raw.expectFrame())).toMatchObject({ type: "PONG", seq: 0 });
  });

  test("takes fragments of any size, empty ones too, as one message", async () => {
    const { ours, raw, keys } = await meet();
    await raw.write(
      keys.seal("DATA_FRAG", 0, Buffer.from("a")),
      keys.seal("DATA_FRAG", 1),
      keys.seal("DATA", 2, Buffer.from("b")),
      keys.seal("DATA", 3),
    );
    expect(await receiveTexts(ours, 2)).toEqual(["ab", ""]);
  });

  test("counts seq from 0 in its own direction, one for each frame", async () => {
    const { ours, raw, keys } = await meet();
    await ours.send(patterned(1808));
    await ours.send("");
    const frames: Uint8Array[] = [];
    while (frames.length < 5) frames.push(await raw.expectFrame());
    expect(frames.map(typeOf)).toEqual(["DATA_FRAG", "DATA_FRAG", "DATA_FRAG", "DATA", "DATA"]);
    expect(frames.map(seqOf)).toEqual([0, 1, 2, 3, 4]);
    expect(Buffer.concat(frames.map((frame) => keys.open(frame).plaintext))).toEqual(Buffer.from(patterned(1808)));
  });

  test("begins a new epoch with the peer's REKEY, at seq 0 in both directions, and refuses the old keys then", async () => {
    const { ours, raw, keys } = await meet();
    await raw.write(keys.seal("DATA", 0, Buffer.from("old")));
    const salt = patterned(32);
    await raw.write(keys.seal("REKEY", 1, salt));
    keys.rekey("us", salt);
    await raw.write(keys.seal("DATA", 0, Buffer.from("new")));
    expect(await receiveTexts(ours, 2)).toEqual(["old", "new"]);
    await ours.send("answer");
    expect(keys.open(await raw.expectFrame())).toMatchObject({ type: "DATA", seq: 0 });
    await raw.write(keys.seal("DATA", 2, Buffer.from("late"), 0));
    expect(await ours.closed).toMatchObject({ code: "protocol-violation" });
    expect(await ours.receive()).toBeUndefined();
  });

  test("reads 200 frames that come in one segment, in order", async () => {
    const { ours, raw, keys } = await meet();
    await raw.write(...Array.from({ length: 200 }, (_, seq) => keys.seal("DATA", seq, Buffer.from(`${seq}`))));
    expect(await receiveTexts(ours, 200)).toEqual(Array.from({ length: 200 }, (_, seq) => `${seq}`));
  });

  test("reads a frame that is cut in two at any byte", async () => {
    const { ours, raw, keys } = await meet();
    const length = keys.seal("DATA", 0, Buffer.from("cut")).length;
    for (let at = 1; at < length; at++) {
      const frame = keys.seal("DATA", at - 1, Buffer.from("cut"));
      await raw.write(frame.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      await raw.write(frame.subarray(at));
      expect(textOf(await ours.receive()), `cut at byte ${at}`).toBe("cut");
    }
  });

  test("takes junk behind a BYE as nothing at all", async () => {
    const { ours, raw, keys } = await meet();
    await raw.write(keys.seal("BYE", 0), keys.seal("DATA", 1, Buffer.from("after the end")), new Uint8Array(500));
    expect(await ours.closed).toEqual({ code: "closed-by-peer" });
    expect(await ours.receive()).toBeUndefined();
  });

  test("ends when the connection ends without BYE, whole frames or half of one in hand", async () => {
    for (const rest of [0, 20]) {
      const { ours, raw, keys } = await meet();
      await raw.write(keys.seal("DATA", 0, Buffer.from("whole")), keys.seal("DATA", 1).subarray(0, rest));
      raw.end();
      expect(await ours.closed).toEqual({ code: "transport-ended", during: "session" });
      expect(await receiveTexts(ours, 2)).toEqual(["whole", undefined]);
    }
  });
});

describe("a whole session over TCP in segments of one byte", () => {
  test("shakes hands, carries long messages both ways, pings, rekeys and ends with BYE", async () => {
    const listening = await serve();
    const relay = await TcpRelay.start({ server: listening.address("tcp"), unit: "chunks", singleBytes: true });
    onTestFinished(() => relay.close());
    const client = await open(relay.address);
    const server = await listening.accept();
    await client.send(patterned(1808));
    expect(Buffer.from((await server.receive()) ?? [])).toEqual(Buffer.from(patterned(1808)));
    await server.rekey();
    await client.ping();
    await expectEcho(client, server);
    await client.close();
    expect(await server.closed).toEqual({ code: "closed-by-peer" });
  });
});

describe("the TCP handshake", () => {
  test("refuses a HELLO of 54 bytes, which belongs to UDP", async () => {
    const listening = await serve();
    const raw = await RawTcp.connect(listening.address("tcp"));
    await raw.write(new RawClient().hello(new Uint8Array(16)));
    expect(await raw.frame()).toBeUndefined();
    expect(listening.refusals[0]?.reason).toMatchObject({ code: "protocol-violation", during: "handshake" });
  });

  test("checks no seq of a handshake frame", async () => {
    const listening = await serve();
    const client = new RawClient();
    const raw = await RawTcp.connect(listening.address("tcp"));
    await raw.write(tampered(client.hello(), 5, 0xff));
    await raw.write(tampered(client.answer(await raw.expectFrame()), 6, 0xff));
    const keys = client.finish(await raw.expectFrame());
    await raw.write(keys.seal("DATA", 0, Buffer.from("in")));
    expect(textOf(await (await listening.accept()).receive())).toBe("in");
  });

  test.each<FrameTypeName>(["CHALLENGE", "HELLO_ACK", "SESSION_OK", "DATA", "PING", "BYE", "HELLO_RETRY", "REKEY"])(
    "refuses %s as the first frame",
    async (type) => {
      const listening = await serve();
      const raw = await RawTcp.connect(listening.address("tcp"));
      await raw.write(encodeFrame(FrameType[type], 0, new Uint8Array(32)));
      expect(await raw.frame()).toBeUndefined();
      expect(listening.refusals[0]?.reason).toEqual({
        code: "protocol-violation",
        violation: "unexpected-type",
        during: "handshake",
      });
    },
  );

  test("is answered the same for an unknown device as for a wrong key: same frames, same lengths, same end", async () => {
    const listening = await serve({
      psk: (deviceId) => (deviceId === "d0:d1:d2:d3:d4:d5" ? new Uint8Array(32).fill(1) : undefined),
    });
    const seen: (readonly (readonly [FrameTypeName, number])[])[] = [];
    for (const deviceId of ["d0d1d2d3d4d5", "020000000001"]) {
      const client = new RawClient({ deviceId: Buffer.from(deviceId, "hex") });
      const raw = await RawTcp.connect(listening.address("tcp"));
      await raw.write(client.hello());
      const challenge = await raw.expectFrame();
      await raw.write(client.answer(challenge));
      expect(await raw.frame()).toBeUndefined();
      seen.push([[typeOf(challenge), challenge.length]]);
    }
    expect(seen[0]).toEqual(seen[1]);
    const causes = listening.refusals.map(({ reason }) => ("cause" in reason ? reason.cause : reason.code));
    expect(causes).toEqual(["wrong-key", "unknown-device"]);
  });
});
