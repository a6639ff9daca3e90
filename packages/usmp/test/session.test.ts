import { Secret, UsageError } from "@usmp/protocol";
import { describe, expect, test } from "vitest";
import { DeliveryUnknownError, type Session, SessionClosedError } from "../src/index.ts";
import {
  DEVICE_ID,
  expectEcho,
  LOOPBACK,
  open,
  pair,
  patterned,
  receiveTexts,
  serve,
  TEST_PSK,
  TRANSPORTS,
  textOf,
} from "./support/loopback.ts";
import { rawTcpServer } from "./support/raw-tcp.ts";
import { rawUdpServer } from "./support/raw-udp.ts";

describe.each(TRANSPORTS)("a session over %s", (transport) => {
  describe("says who it is with", () => {
    test("both ends agree on device id and session id, and know where the other is", async () => {
      const { client, server, listening } = await pair(transport);
      expect([client.deviceId, server.deviceId]).toEqual([DEVICE_ID, DEVICE_ID]);
      expect(client.sessionId).toMatch(/^[0-9a-f]{32}$/);
      expect(server.sessionId).toBe(client.sessionId);
      expect(client.peer).toEqual(listening.address(transport));
      expect(server.peer).toMatchObject({ transport, host: LOOPBACK });
      expect([client.transport, server.transport]).toEqual([transport, transport]);
    });

    test("a client knows its server as proven from the start, a server its client from its first frame or UTACK on", async () => {
      const { client, server } = await pair(transport);
      expect(await client.proven).toBe(true);
      await client.send("proof");
      expect(await server.proven).toBe(true);
    });
  });

  describe("carries messages", () => {
    test("of text as UTF-8, of bytes as they are, empty ones too, in order", async () => {
      const { client, server } = await pair(transport);
      await Promise.all([client.send("grüße"), client.send(""), client.send(Uint8Array.of(0, 255))]);
      expect(await receiveTexts(server, 2)).toEqual(["grüße", ""]);
      expect(Array.from((await server.receive()) ?? [])).toEqual([0, 255]);
    });

    test("that the sender may overwrite as soon as send() has returned its promise", async () => {
      const { client, server } = await pair(transport);
      const message = Uint8Array.from(Buffer.from("first"));
      const sending = [client.send(message)];
      message.set(Buffer.from("later"));
      sending.push(client.send(message));
      await Promise.all(sending);
      expect(await receiveTexts(server, 2)).toEqual(["first", "later"]);
    });

    test("that the receiver may keep: none is overwritten by a later one", async () => {
      const { client, server } = await pair(transport);
      await Promise.all([1, 2, 3].map((byte) => client.send(new Uint8Array(1_808).fill(byte))));
      const kept = [await server.receive(), await server.receive(), await server.receive()];
      expect(kept.map((message) => new Set(message))).toEqual([new Set([1]), new Set([2]), new Set([3])]);
    });

    test("of 1,808 bytes at most: a longer one is the caller's mistake, before anything is sent", async () => {
      const { client, server } = await pair(transport);
      const tooLong = client.send(patterned(1_809));
      await expect(tooLong).rejects.toThrow(UsageError);
      await expect(tooLong).rejects.toThrow("message of 1809 bytes: at most 1808 fit");
      await expect(client.send("ü".repeat(905))).rejects.toMatchObject({ code: "message-too-long" });
      expect(client.statistics.messagesSent).toBe(0);
      await expectEcho(client, server);
    });

    test("as an async iterable, which ends with the session", async () => {
      const { client, server } = await pair(transport);
      await Promise.all(["a", "b", "c"].map((text) => client.send(text)));
      const closing = client.close();
      const texts: (string | undefined)[] = [];
      for await (const message of server) texts.push(textOf(message));
      expect(texts).toEqual(["a", "b", "c"]);
      await closing;
    });

    test("to a loop that is left early and taken up again, without losing one", async () => {
      const { client, server } = await pair(transport);
      await Promise.all(["a", "b", "c"].map((text) => client.send(text)));
      for await (const message of server) {
        expect(textOf(message)).toBe("a");
        break;
      }
      expect(server.open).toBe(true);
      expect(textOf(await server.receive())).toBe("b");
      for await (const message of server) {
        expect(textOf(message)).toBe("c");
        break;
      }
    });

    test("to several readers that wait, each message to one, the first first", async () => {
      const { client, server } = await pair(transport);
      const waiting = [server.receive(), server.receive(), server.receive()];
      for (const text of ["a", "b", "c"]) await client.send(text);
      expect((await Promise.all(waiting)).map(textOf)).toEqual(["a", "b", "c"]);
    });
  });

  describe("asks and answers", () => {
    test("ping() resolves with the round trip in milliseconds, and callers at the same time share one PING", async () => {
      const { client, server } = await pair(transport);
      const before = client.statistics.framesSent;
      const trips = await Promise.all([client.ping(), client.ping(), client.ping()]);
      expect(new Set(trips).size).toBe(1);
      expect(trips[0]).toBeGreaterThan(0);
      expect(trips[0]).toBeLessThan(1_000);
      expect(client.statistics.framesSent - before).toBe(1);
      expect(client.statistics.roundTripMs).toBeGreaterThan(0);
      expect(await server.ping()).toBeGreaterThan(0);
    });

    test("ten pings in a row are paced, so that the peer's limit of eight a second never ends the session", async () => {
      const { client, server } = await pair(transport);
      for (let i = 0; i < 10; i++) await client.ping();
      expect([client.open, server.open]).toEqual([true, true]);
      expect(server.statistics.dropped).toEqual({});
    });

    test("rekey() begins a new epoch at both ends, and data flows on both ways", async () => {
      const { client, server } = await pair(transport);
      await expectEcho(client, server, "epoch 0");
      await client.rekey();
      await expectEcho(client, server, "epoch 1");
      expect([client.statistics.epoch, server.statistics.epoch]).toEqual([1, 1]);
      await server.rekey();
      await expectEcho(client, server, "epoch 2");
      expect([client.statistics.epoch, server.statistics.epoch]).toEqual([2, 2]);
    });

    test("both ends rekey at once, with messages under way, and lose none", async () => {
      const { client, server } = await pair(transport);
      const texts = Array.from({ length: 50 }, (_, number) => `${number}`);
      const sending = texts.flatMap((text) => [client.send(text), server.send(text)]);
      await Promise.all([client.rekey(), server.rekey()]);
      expect(await receiveTexts(server, 50)).toEqual(texts);
      expect(await receiveTexts(client, 50)).toEqual(texts);
      await Promise.all(sending);
      await expectEcho(client, server);
    });
  });

  describe("ends", () => {
    test("with close(): what was sent before arrives, both sides hear the reason, readers come to an end", async () => {
      const { client, server } = await pair(transport);
      const last = client.send("last words");
      expect(await client.close()).toEqual({ code: "closed-locally" });
      await last;
      expect(await client.closed).toEqual({ code: "closed-locally" });
      expect(await server.closed).toEqual({ code: "closed-by-peer" });
      expect([client.open, server.open]).toEqual([false, false]);
      expect(await receiveTexts(server, 3)).toEqual(["last words", undefined, undefined]);
      expect(await client.receive()).toBeUndefined();
    });

    test("with close() from both sides at once, and again and again", async () => {
      const { client, server } = await pair(transport);
      const reasons = await Promise.all([client.close(), server.close(), client.close(), server.close()]);
      for (const { code } of reasons) expect(["closed-locally", "closed-by-peer"]).toContain(code);
      expect(await client.close()).toEqual(await client.closed);
    });

    test("with abort(): at once, and again without effect", async () => {
      const { client } = await pair(transport);
      client.abort();
      client.abort();
      expect(client.open).toBe(false);
      expect(await client.closed).toEqual({ code: "aborted" });
      expect(await client.close()).toEqual({ code: "aborted" });
    });

    test("at the end of an await using block, with BYE", async () => {
      const { client, server } = await pair(transport);
      {
        await using session = client;
        await session.send("inside");
      }
      expect(await server.closed).toEqual({ code: "closed-by-peer" });
    });

    test("and whoever waits then, or asks later, hears why", async () => {
      const { client } = await pair(transport);
      const receiving = client.receive();
      client.abort();
      expect(await receiving).toBeUndefined();
      const asks: readonly (() => Promise<unknown>)[] = [
        () => client.send("x"),
        () => client.ping(),
        () => client.rekey(),
      ];
      for (const ask of asks) {
        await expect(ask()).rejects.toThrow(SessionClosedError);
        await expect(ask()).rejects.toMatchObject({ code: "session-closed", reason: { code: "aborted" } });
      }
    });

    test("and a ping that is under way rejects with the reason", async () => {
      const { ours } = transport === "tcp" ? await rawTcpServer() : await rawUdpServer();
      const unanswered = expect(ours.ping()).rejects.toMatchObject({
        code: "session-closed",
        reason: { code: "aborted" },
      });
      ours.abort();
      await unanswered;
    });
  });

  test("counts what it did", async () => {
    const { client, server } = await pair(transport);
    await client.send(patterned(1_808));
    await client.send("one frame");
    await server.receive();
    await server.receive();
    expect(client.statistics).toMatchObject({ messagesSent: 2, messagesReceived: 0, retransmissions: 0, epoch: 0 });
    expect(server.statistics).toMatchObject({ messagesSent: 0, messagesReceived: 2, retransmissions: 0, dropped: {} });
    expect(client.statistics.bytesSent).toBeGreaterThan(1_808 + 9 + 5 * 40);
    // Over UDP the first HELLO is answered before there is a connection that could count it, and UTACKs are no frames.
    if (transport === "tcp") expect(server.statistics.bytesReceived).toBe(client.statistics.bytesSent);
  });
});

test("a server's session that ends before its client has shown a key says that it never was proven", async () => {
  const { server } = await pair("tcp");
  server.abort();
  expect(await server.proven).toBe(false);
});

describe("delivery over UDP", () => {
  test("send() resolves only when the peer has acknowledged every frame of the message", async () => {
    const { ours, raw, keys } = await rawUdpServer();
    let delivered = false;
    const sending = ours.send(patterned(1_808)).then(() => {
      delivered = true;
    });
    for (const type of ["DATA_FRAG", "DATA_FRAG", "DATA_FRAG", "DATA"] as const) {
      expect(delivered).toBe(false);
      await raw.send(keys.utack(await raw.expectFrame(type)));
    }
    await sending;
  });

  test("a message that had begun to leave when the session ended is of unknown fate, one behind it never left", async () => {
    const { ours, raw } = await rawUdpServer();
    const begun = ours.send("begun").catch((error: unknown) => error);
    const behind = ours.send("behind").catch((error: unknown) => error);
    await raw.expectFrame("DATA");
    ours.abort();
    expect(await begun).toBeInstanceOf(DeliveryUnknownError);
    expect(await begun).toMatchObject({ code: "delivery-unknown", reason: { code: "aborted" } });
    expect(await behind).toBeInstanceOf(SessionClosedError);
  });
});

test("the server's session is announced before any of its messages, and its callback may send at once", async () => {
  const announced: Session[] = [];
  const listening = await serve({
    psk: new Secret(TEST_PSK),
    onSession: (session) => {
      announced.push(session);
      session.send("welcome").catch(() => {});
    },
  });
  for (const transport of TRANSPORTS) {
    const client = await open(listening.address(transport), { transport });
    expect(textOf(await client.receive())).toBe("welcome");
  }
  expect(announced).toHaveLength(2);
});
