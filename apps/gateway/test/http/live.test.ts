import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { eventFeed } from "../../src/events/event-feed.ts";
import { GatewayEvents } from "../../src/events/gateway-events.ts";
import { TestApi } from "../support/http.ts";

const ORIGIN = "https://panel.example";

/** The API with a live stream of notices. */
class LiveApi {
  readonly events: GatewayEvents = new GatewayEvents();
  api!: TestApi;
  #count = 0;
  /** Streams that a handler serves. */
  serving = 0;

  static async open(limits = {}): Promise<LiveApi> {
    const live = new LiveApi();
    live.api = await TestApi.open({
      settings: { allowedOrigins: [ORIGIN] },
      limits,
      handlers: {
        events: (params, _, signal) => live.#feed(params as { types?: readonly string[] }, signal),
        "message.follow": () => failing(),
      },
    });
    return live;
  }

  async *#feed({ types }: { types?: readonly string[] }, signal: AbortSignal): AsyncGenerator<object> {
    this.serving++;
    try {
      yield* eventFeed(this.events, { limit: 1_000, signal, wants: ({ type }) => types?.includes(type) ?? true });
    } finally {
      this.serving--;
    }
  }

  /** One notice of so many bytes. */
  tell(bytes = 10): void {
    this.events.emit({ type: "notice", time: this.#count++, topic: "test", message: "x".repeat(bytes) });
  }

  async serves(count: number): Promise<void> {
    await vi.waitFor(() => expect(this.serving).toBe(count), { timeout: 30_000, interval: 5 });
  }

  webSocket(token: string, options: { origin?: string; header?: boolean; path?: string } = {}): WebSocket {
    const { origin, header = false, path = "/v1/events" } = options;
    const protocols = header ? [] : ["usmp.v1", `usmp.token.${token}`];
    const socket = new WebSocket(`ws://127.0.0.1:${this.api.port}${path}`, protocols, {
      ...(origin === undefined ? {} : { origin }),
      ...(header ? { headers: { authorization: `Bearer ${token}` } } : {}),
    });
    socket.on("error", () => {});
    onTestFinished(() => socket.terminate());
    return socket;
  }

  /** A stream as a response. */
  async stream(token: string, accept: string): Promise<IncomingMessage> {
    const asked: ClientRequest = request({
      host: "127.0.0.1",
      port: this.api.port,
      path: "/v1/events",
      agent: false,
      headers: { authorization: `Bearer ${token}`, accept },
    });
    asked.on("error", () => {}).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    response.on("error", () => {});
    onTestFinished(() => void response.destroy());
    return response;
  }

  /** A viewer that asks and never reads. */
  deaf(token: string): Socket {
    const socket = this.api.socket();
    socket.pause();
    socket.write(
      `GET /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\naccept: text/event-stream\r\n\r\n`,
    );
    return socket;
  }
}

async function* failing(): AsyncGenerator<unknown> {
  yield await Promise.reject(Object.assign(new Error("secret detail"), { code: "EIO" }));
}

/** The status that an upgrade was refused with. */
async function refusal(socket: WebSocket): Promise<number | undefined> {
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  return response.statusCode;
}

describe("a WebSocket", () => {
  test("of a foreign, null or missing origin is refused; without an origin only the header's token counts, which no page can set", async () => {
    const live = await LiveApi.open();
    const token = await live.api.token("viewer");
    for (const origin of ["https://evil.example", "null", `${ORIGIN}.evil.example`]) {
      expect(await refusal(live.webSocket(token, { origin })), origin).toBe(403);
      expect(await refusal(live.webSocket(token, { origin, header: true })), origin).toBe(403);
    }
    expect(await refusal(live.webSocket(token))).toBe(403);
    await once(live.webSocket(token, { header: true }), "open");
    const page = live.webSocket(token, { origin: ORIGIN });
    await once(page, "open");
    expect(page.protocol).toBe("usmp.v1");
    await live.serves(2);
  });

  test("without a token, with a wrong one, and to what is no live stream is refused", async () => {
    const live = await LiveApi.open();
    const token = await live.api.token("viewer");
    expect(await refusal(live.webSocket("usmp_000000000000_x", { origin: ORIGIN }))).toBe(401);
    expect(await refusal(live.webSocket(token, { origin: ORIGIN, path: "/v1/status" }))).toBe(400);
    expect(await refusal(live.webSocket(token, { origin: ORIGIN, path: "/v1/messages?follow=true" }))).toBe(403);
    expect(await refusal(live.webSocket(token, { origin: ORIGIN, path: "/v1/nothing" }))).toBe(404);
    expect(live.api.called).toEqual([]);
  });

  test("gets items as they come, and is told why it ends", async () => {
    const live = await LiveApi.open();
    const token = await live.api.token("viewer");
    const socket = live.webSocket(token, { origin: ORIGIN });
    const texts: unknown[] = [];
    socket.on("message", (data) => texts.push(JSON.parse(String(data))));
    await live.serves(1);
    live.tell();
    await vi.waitFor(() =>
      expect(texts).toEqual([{ item: { type: "notice", time: 0, topic: "test", message: "xxxxxxxxxx" } }]),
    );
    socket.send("nobody listens to this");
    const closed = once(socket, "close");
    await live.api.opened.tokens.revoke(token.split("_")[1] as string, { who: "ada", from: "test" });
    expect(await closed).toEqual([1008, expect.anything()]);
    expect(texts.at(-1)).toEqual({ error: { code: "unauthorized", message: "this token was revoked" } });
    await live.serves(0);
  });

  test("that sends more than it may is ended", async () => {
    const live = await LiveApi.open();
    const socket = live.webSocket(await live.api.token("viewer"), { origin: ORIGIN });
    await once(socket, "open");
    const closed = once(socket, "close");
    socket.send("x".repeat(5_000));
    expect((await closed)[0]).toBe(1009);
    await live.serves(0);
  });
});

describe("streams", () => {
  test.each(["text/event-stream", "application/x-ndjson"])(
    "as %s carry items and end with their token",
    async (accept) => {
      const live = await LiveApi.open();
      const token = await live.api.token("operator", 5_000);
      const response = await live.stream(token, accept);
      expect(response.headers).toMatchObject({ "content-type": accept, "cache-control": "no-store" });
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      await live.serves(1);
      live.tell();
      await vi.waitFor(() => expect(text).toContain('"topic":"test"'));
      expect(text).toMatch(accept.includes("event") ? /^data: \{.*\}\n\n$/ : /^\{"item":\{.*\}\}\n$/);
      live.api.time.passWall(5_001);
      const ended = once(response, "end");
      await live.api.time.clock.elapse(1_000);
      await ended;
      expect(text).toContain("this token has expired");
      await live.serves(0);
      expect(live.api.server.counts.tokenEnded).toBe(1);
    },
  );

  test("say nothing of an error's insides, and give it a status when it comes first", async () => {
    const live = await LiveApi.open();
    const reply = await live.api.ask("GET", "/v1/queue/1/states", { token: await live.api.token("operator") });
    expect([reply.status, reply.text]).toEqual([500, expect.not.stringContaining("secret detail")]);
  });

  test("show a viewer no messages, whatever it asks for", async () => {
    const live = await LiveApi.open();
    const [viewer, operator] = [await live.api.token("viewer"), await live.api.token("operator")];
    expect((await live.api.ask("GET", "/v1/events?types=message", { token: viewer })).status).toBe(403);
    expect((await live.api.ask("GET", "/v1/events?types=session&types=outbound", { token: viewer })).status).toBe(403);
    const texts = ["", ""];
    for (const [index, token] of [viewer, operator].entries()) {
      (await live.stream(token, "text/event-stream")).setEncoding("utf8").on("data", (piece: string) => {
        texts[index] += piece;
      });
    }
    await live.serves(2);
    const message = {
      id: 1,
      device: "02:00:00:00:00:01",
      session: "00",
      sequence: 1,
      time: 0,
      transport: "tcp",
      data: new Uint8Array(1),
    } as const;
    live.events.emit({ type: "message", message });
    live.tell();
    await vi.waitFor(() => expect(texts.every((text) => text.includes("notice"))).toBe(true));
    expect(texts.map((text) => text.includes('"message":{"id"'))).toEqual([false, true]);
  });

  test("are as many as there are places: who has the most gives way to another token", async () => {
    const live = await LiveApi.open({ mostStreams: 4 });
    const [greedy, modest] = [await live.api.token("viewer"), await live.api.token("admin")];
    for (let index = 0; index < 4; index++) await live.stream(greedy, "text/event-stream");
    await live.serves(4);
    expect((await live.api.ask("GET", "/v1/events", { token: greedy })).status).toBe(503);
    expect((await live.stream(modest, "text/event-stream")).statusCode).toBe(200);
    await live.serves(4);
    expect(live.api.server.counts.crowdedOut).toBe(2);
  });
});

describe("viewers that do not read", () => {
  test("are bounded in memory, let go after a while and counted; others get everything (fault case 31)", async () => {
    const live = await LiveApi.open();
    const token = await live.api.token("viewer");
    const deaf = live.deaf(token);
    const deafSocket = live.webSocket(token, { origin: ORIGIN });
    await once(deafSocket, "open");
    deafSocket.pause();
    const reader = await live.stream(token, "application/x-ndjson");
    let lines = 0;
    reader.on("data", (piece: Buffer) => {
      for (const byte of piece) if (byte === 10) lines++;
    });
    await live.serves(3);
    const ROUNDS = 20;
    for (let round = 0; round < ROUNDS; round++) {
      // 20 MB for each viewer in all; the reader keeps up.
      for (let index = 0; index < 100; index++) live.tell(10_000);
      await vi.waitFor(() => expect(lines).toBe((round + 1) * 100), { interval: 2 });
    }
    expect(live.api.server.counts).toMatchObject({ open: 3, stalled: 0 });
    await live.api.time.clock.elapse(40_000);
    await live.serves(1);
    expect(live.api.server.counts).toMatchObject({ open: 1, stalled: 2 });
    expect(lines).toBe(ROUNDS * 100 + 2); // and two beats
    deaf.destroy();
  }, 60_000);

  test("a viewer that comes back to reading hears how much it missed", async () => {
    const live = await LiveApi.open();
    const socket = live.deaf(await live.api.token("viewer"));
    await live.serves(1);
    for (let round = 0; round < 30; round++) {
      for (let index = 0; index < 100; index++) live.tell(10_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    let text = "";
    socket.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    socket.resume();
    const got = (): number => [...text.matchAll(/"type":"notice"/g)].length;
    const dropped = (): number =>
      [...text.matchAll(/"type":"dropped","count":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    await vi.waitFor(() => expect(got() + dropped()).toBe(3_000), { timeout: 30_000 });
    expect(dropped()).toBeGreaterThan(0);
  });
});
