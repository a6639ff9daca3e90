import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { openApi } from "../../src/http/openapi.ts";
import { TestApi } from "../support/http.ts";

describe("requests of the hostile", () => {
  test("bodies are bounded in bytes and depth, and take no prototype along", async () => {
    const api = await TestApi.open();
    const token = await api.token("admin");
    const post = (body: string | Buffer) =>
      api.ask("POST", "/v1/devices", { token, headers: { "content-type": "application/json" }, body });
    expect((await post(`{"devices":[{"name":"${"x".repeat(70_000)}"}]}`)).status).toBe(413);
    expect((await post(`{"devices":${"[".repeat(10_000)}${"]".repeat(10_000)}}`)).text).toContain("16 deep");
    for (const body of [
      '{"devices":[{}],"__proto__":{"x":1}}',
      '{"devices":[{"__proto__":{"admin":true}}]}',
      '{"devices":[{"constructor":1}]}',
    ]) {
      expect((await post(body)).status, body).toBe(400);
    }
    for (const body of ["", "[]", "null", "1", '"x"', "{", '{"devices":[{}]}x', Buffer.from([0xff, 0xfe, 0x7b])]) {
      expect((await post(body)).status, String(body)).toBe(400);
    }
    expect(api.called).toEqual([]);
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  test("a body of unknown length is bounded as well, and a compressed one is not unpacked", async () => {
    const api = await TestApi.open();
    const token = await api.token("admin");
    const head = `POST /v1/devices HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
    const socket = api.socket();
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    const chunk = `1000\r\n${"x".repeat(4_096)}\r\n`;
    for (let index = 0; index < 64 && !socket.destroyed; index++) socket.write(chunk);
    await once(socket, "close");
    expect(answer).toContain("413 Payload Too Large");
    const packed = await api.ask("POST", "/v1/devices", {
      token,
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
      body: "x",
    });
    expect(packed.status).toBe(415);
    expect(api.called).toEqual([]);
  });

  test("paths are taken as they are: none climbs out, and a terminal is told nothing raw", async () => {
    const api = await TestApi.open();
    const token = await api.token("admin");
    for (const path of [
      "/v1/../v1/status",
      "/v1//status",
      "/v1/%2e%2e/status",
      "/v1/devices/..%2f..%2fetc%2fpasswd",
      "/v1/devices/%00",
      "/v1/devices/%ff",
      "/v1/devices/%zz",
      "/V1/status",
      "/v1/status/",
      "//evil.example/v1/status",
      "/v1/devices/<img%20onerror>",
      "/v1/devices/%1b[31m",
    ]) {
      const reply = await api.ask("GET", path, { token });
      expect([400, 404], `${path}: ${reply.text}`).toContain(reply.status);
      expect(reply.text).not.toMatch(/[^\n\x20-\x7e…]/);
      expect(reply.headers["content-type"]).toBe("application/json");
    }
    expect(api.called).toEqual([]);
  });

  test("parameters that are unknown, doubled or of another kind are refused by name", async () => {
    const api = await TestApi.open();
    const token = await api.token("admin");
    for (const [query, says] of [
      ["nonsense=1", "nonsense"],
      ["__proto__=1", "__proto__"],
      ["tag=a&tag=b", "tag"],
      ["state=asleep", "state"],
      ["size=0", "size"],
      ["size=1e9", "size"],
      ["cursor=-1", "cursor"],
      [`tag=${"x".repeat(300)}`, "tag"],
    ] as const) {
      const reply = await api.ask("GET", `/v1/devices?${query}`, { token });
      expect([reply.status, reply.text], query).toEqual([400, expect.stringContaining(says)]);
    }
    expect(
      (await api.json("POST", "/v1/devices/02:00:00:00:00:01/suspend", token, { id: "02:00:00:00:00:02" })).status,
    ).toBe(400);
    expect((await api.json("POST", "/v1/devices/02:00:00:00:00:01/suspend?id=1", token)).status).toBe(400);
    expect(api.called).toEqual([]);
  });

  test("a slow head, a slow body and silence are ended; a request that is none is answered and ended", async () => {
    const api = await TestApi.open({ limits: { headersMs: 300, requestMs: 600 } });
    const token = await api.token("admin");
    const slow = [
      "",
      "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx: ",
      `POST /v1/devices HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`,
    ].map((bytes) => {
      const socket = api.socket();
      socket.write(bytes);
      const trickle = setInterval(() => socket.write(" "), 100);
      return once(socket.resume(), "close").finally(() => clearInterval(trickle));
    });
    const none = [
      "\u0016\u0003\u0001",
      "GET\r\n\r\n",
      "GET /v1/status HTTP/1.1\r\n\r\n",
      `GET / HTTP/1.1\r\nhost: x\r\n${`x: ${"y".repeat(20)}\r\n`.repeat(3_000)}\r\n`,
      "GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ].map(async (bytes) => {
      const socket = api.socket();
      let answer = "";
      socket.setEncoding("latin1").on("data", (text: string) => {
        answer += text;
      });
      socket.write(bytes);
      await once(socket, "close");
      return answer;
    });
    await Promise.all(slow);
    for (const answer of await Promise.all(none)) expect(answer).toMatch(/^$|^HTTP\/1\.1 4\d\d /);
    expect(api.called).toEqual([]);
    expect((await api.ask("GET", "/v1/status", { token })).status).toBe(200);
  });

  test("a crowd of silent connections pushes out its own, not a request of one who has a token", async () => {
    const api = await TestApi.open({ limits: { mostConnections: 20 } });
    const token = await api.token("admin");
    const crowd = Array.from({ length: 60 }, () => api.socket());
    await Promise.all(crowd.map((socket) => once(socket, "connect")));
    expect((await api.ask("GET", "/v1/status", { token })).status).toBe(200);
    expect(api.server.counts.connections).toBeLessThanOrEqual(20);
    expect(api.server.counts.evicted).toBeGreaterThanOrEqual(40);
  });
});

describe("what else is served", () => {
  const extraRoutes = [
    {
      path: "/healthz",
      role: "anyone",
      answer: (_: Request, role?: string) => new Response(role === undefined ? "ok" : `ok, ${role}`),
    },
    {
      path: "/metrics",
      role: "viewer",
      answer: async () => new Response("usmp_up 1\n", { headers: { "content-type": "text/plain" } }),
    },
  ] as const;

  test("the document without a token; extra routes as they say; each verb but GET is refused", async () => {
    const api = await TestApi.open({ extraRoutes });
    const token = await api.token("viewer");
    expect(JSON.parse((await api.ask("GET", "/openapi.json")).text)).toEqual(JSON.parse(JSON.stringify(openApi())));
    expect(await api.ask("GET", "/healthz")).toMatchObject({ status: 200, text: "ok" });
    expect(await api.ask("GET", "/healthz", { token })).toMatchObject({ status: 200, text: "ok, viewer" });
    expect((await api.ask("GET", "/metrics")).status).toBe(401);
    expect(await api.ask("GET", "/metrics", { token })).toMatchObject({
      status: 200,
      text: "usmp_up 1\n",
      headers: { "cache-control": "no-store", "content-type": "text/plain" },
    });
    expect((await api.ask("POST", "/healthz")).status).toBe(405);
    expect((await api.ask("GET", "/healthz", { headers: { host: "evil.example" } })).status).toBe(403);
  });
});
