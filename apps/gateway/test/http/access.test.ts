import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { openApi } from "../../src/http/openapi.ts";
import { suffices } from "../../src/registry/token-store.ts";
import { pathOf, REACHED, TestApi } from "../support/http.ts";

/** Bodies that the routes take. */
const BODIES: Readonly<Record<string, unknown>> = {
  "device.add": { devices: [{}] },
  "device.rotate": { all: true },
  "device.rename": { name: null },
  "device.tag": { add: [], remove: [] },
  "master.rotate": { graceMs: 0 },
  "message.send": { data: "" },
  "token.add": { name: "x", role: "viewer" },
  backup: { recipient: "age1x" },
};
const PREFLIGHT = { origin: "https://evil.example", "access-control-request-method": "GET" };

describe("tokens", () => {
  test("every route wants one: none, a foreign, an expired, a revoked or a mangled one is 401, and nothing was called", async () => {
    const api = await TestApi.open();
    const admin = await api.token("admin");
    const expired = await api.token("admin", 1_000);
    const revoked = await api.token("admin");
    await api.opened.tokens.revoke(revoked.split("_")[1] as string, { who: "ada", from: "test" });
    api.time.passWall(1_001);
    const foreign = (await (await TestApi.open()).token("admin")) as string;
    const wrong = [
      undefined,
      foreign,
      expired,
      revoked,
      `${admin}x`,
      admin.slice(0, -1),
      admin.toUpperCase(),
      "usmp",
      "%00",
      "Bearer",
    ];
    for (const [method, route] of REACHED) {
      for (const token of wrong) {
        // Wrong tokens are answered one by one at first, then by 429; neither says more than the other.
        await api.time.clock.elapse(1_000);
        const reply = await api.json(route.verb, pathOf(route), token as string, BODIES[method]);
        expect(reply.status, `${method} with ${String(token)}`).toBe(401);
        expect(reply.headers["www-authenticate"]).toContain("Bearer");
        expect(reply.headers["usmp-version"]).toBeUndefined();
      }
    }
    expect(api.called).toEqual([]);
    expect((await api.ask("GET", "/v1/status", { headers: { authorization: `Basic ${admin}` } })).status).toBe(401);
    expect((await api.ask("GET", `/v1/status?token=${admin}`)).status).toBe(401);
    expect((await api.ask("GET", "/v1/nowhere")).status).toBe(401);
  }, 120_000);

  test("every route is open to its role and those above, and to no other", async () => {
    const api = await TestApi.open();
    for (const role of ["viewer", "operator", "admin"] as const) {
      const token = await api.token(role);
      for (const [method, route] of REACHED) {
        api.called.length = 0;
        const allowed = suffices(role, route.role);
        await api.time.clock.elapse(100);
        const reply = await api.json(route.verb, pathOf(route), token, BODIES[method]);
        expect(reply.status, `${method} as ${role}: ${reply.text}`).toBe(allowed ? 200 : 403);
        expect(api.called).toEqual(allowed ? [method] : []);
        if (!allowed) expect(reply.text).toContain(`role ${route.role}`);
        expect(reply.headers["usmp-version"]).toBe("1.2.3");
        expect(reply.headers["cache-control"]).toBe("no-store");
      }
    }
  });

  test("roles are those of the issue: a viewer reads no message and changes nothing, an operator touches no key", () => {
    const of = (role: string): string[] => REACHED.filter(([, route]) => route.role === role).map(([method]) => method);
    for (const method of of("viewer")) expect(REACHED.find(([name]) => name === method)?.[1].verb).toBe("GET");
    expect(of("viewer").filter((method) => /message|token|audit|backup/.test(method))).toEqual([]);
    expect(of("operator").sort()).toEqual(
      [
        "device.suspend",
        "device.resume",
        "device.rename",
        "device.tag",
        "message.log",
        "message.send",
        "message.queue",
        "message.show",
        "message.follow",
        "message.cancel",
      ].sort(),
    );
    expect(of("admin")).toEqual(
      expect.arrayContaining([
        "device.add",
        "device.rotate",
        "device.revoke",
        "device.delete",
        "master.rotate",
        "token.add",
        "backup",
      ]),
    );
  });

  test("a method hears the token's name and the address, and cannot be made to take them for a user of the host", async () => {
    const api = await TestApi.open();
    const { text, record } = await api.opened.tokens.add(
      { name: "uid 0 (root)", role: "admin", ttlMs: undefined },
      { who: "a", from: "b" },
    );
    await api.ask("GET", "/v1/status", {
      token: text,
      headers: { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.1" },
    });
    expect(api.actors).toEqual([{ who: `token uid 0 (root) (${record.id})`, from: "http 127.0.0.1" }]);
  });
});

describe("guesses", () => {
  test("10,000 are bounded, add few rows to the audit, and lock no administrator out who sits behind the same address", async () => {
    const api = await TestApi.open();
    const admin = await api.token("admin");
    const statuses = new Map<number, number>();
    const guess = async (): Promise<void> => {
      for (let index = 0; index < 1_250; index++) {
        const { status } = await api.ask("GET", "/v1/status", { token: `usmp_0123456789ab_${"A".repeat(43)}` });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const guessing = Promise.all(Array.from({ length: 8 }, guess));
    for (let index = 0; index < 50; index++)
      expect((await api.ask("GET", "/v1/status", { token: admin })).status).toBe(200);
    await guessing;
    expect([...statuses.keys()].sort()).toEqual([401, 429]);
    expect(statuses.get(401)).toBeLessThan(100);
    expect((await api.ask("GET", "/v1/status", { token: admin })).status).toBe(200);
    await api.server.close();
    const rows = [];
    for await (const row of api.opened.registry.audit.rows()) if (row.action === "refused") rows.push(row);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.detail).toMatchObject({ cause: "api:token-unknown", source: "127.0.0.1", count: 10_000 });
  }, 120_000);

  test("one token that asks too often is told so; others are not slowed", async () => {
    const api = await TestApi.open();
    const [eager, calm] = [await api.token("viewer"), await api.token("viewer")];
    const statuses: number[] = [];
    for (let index = 0; index < 400; index++)
      statuses.push((await api.ask("GET", "/v1/status", { token: eager })).status);
    expect(statuses.filter((status) => status === 429).length).toBe(100);
    expect((await api.ask("GET", "/v1/status", { token: calm })).status).toBe(200);
    await api.time.clock.elapse(1_000);
    expect((await api.ask("GET", "/v1/status", { token: eager })).status).toBe(200);
  });
});

describe("pages of strangers", () => {
  test("a host that is not ours is refused (DNS rebinding), whatever token comes along", async () => {
    const api = await TestApi.open({ settings: { allowedHosts: ["gateway.example"] } });
    const token = await api.token("admin");
    const asked = async (host: string): Promise<number> =>
      (await api.ask("GET", "/v1/status", { token, headers: { host } })).status;
    for (const host of [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "gateway.example.evil.example",
      "192.0.2.1",
      "[2001:db8::1]",
      "a@127.0.0.1",
      "127.0.0.1:x",
      "2130706433",
      "0x7f.1",
    ]) {
      expect(await asked(host), host).toBe(403);
    }
    for (const host of [
      "127.0.0.1",
      `127.0.0.1:${api.port}`,
      "localhost",
      "LOCALHOST:1",
      "gateway.example:443",
      "[::1]:80",
    ]) {
      expect(await asked(host), host).toBe(200);
    }
    expect(api.called).toHaveLength(6);
    for (const head of ["GET /v1/status HTTP/1.0\r\n", "GET /v1/status HTTP/1.1\r\nhost:\r\n"]) {
      const socket = api.socket();
      socket.end(`${head}authorization: Bearer ${token}\r\n\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer];
      expect(answer.toString()).toContain(" 403 ");
    }
  });

  test("a foreign or null origin is refused before anything is called; an allowed one may ask, without cookies", async () => {
    const api = await TestApi.open({ settings: { allowedOrigins: ["https://panel.example"] } });
    const token = await api.token("admin");
    for (const origin of [
      "https://evil.example",
      "null",
      "https://panel.example.evil.example",
      "http://panel.example",
      "https://panel.example:444",
      "",
      "file://",
      `https://127.0.0.1:${api.port}`,
    ]) {
      for (const [verb, path] of [
        ["GET", "/v1/status"],
        ["POST", "/v1/audit/accept"],
        ["GET", "/openapi.json"],
      ] as const) {
        const reply = await api.ask(verb, path, { token, headers: { origin } });
        expect(reply.status, `${verb} ${path} of ${origin}`).toBe(403);
        expect(reply.headers["access-control-allow-origin"]).toBeUndefined();
      }
      const preflight = await api.ask("OPTIONS", "/v1/status", { headers: { ...PREFLIGHT, origin } });
      expect([preflight.status, preflight.headers["access-control-allow-origin"]]).toEqual([403, undefined]);
    }
    expect(api.called).toEqual([]);
    const allowed = await api.ask("GET", "/v1/status", { token, headers: { origin: "https://panel.example" } });
    expect(allowed.headers).toMatchObject({ "access-control-allow-origin": "https://panel.example", vary: "Origin" });
    expect(allowed.headers["access-control-allow-credentials"]).toBeUndefined();
    const preflight = await api.ask("OPTIONS", "/v1/devices", {
      headers: { ...PREFLIGHT, origin: "https://panel.example" },
    });
    expect([preflight.status, preflight.headers["access-control-allow-headers"]]).toEqual([
      204,
      "authorization, content-type, accept",
    ]);
    const own = `http://127.0.0.1:${api.port}`;
    expect((await api.ask("GET", "/v1/status", { token, headers: { origin: own } })).status).toBe(200);
  });

  test("a cross-site form, and JSON sent as text/plain, are refused", async () => {
    const api = await TestApi.open();
    const token = await api.token("admin");
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/json-patch+json",
      "",
      "application/json; charset=utf-16",
    ]) {
      const reply = await api.ask("POST", "/v1/devices", {
        token,
        headers: { "content-type": type },
        body: '{"devices":[{}]}',
      });
      expect(reply.status, type).toBe(415);
    }
    expect(api.called).toEqual([]);
  });
});

describe("no GET changes anything", () => {
  const CHANGING = /\.(add|rotate|revoke|suspend|resume|rename|tag|delete|send|cancel|accept|confirm)$|^backup$/;

  test.each(REACHED.map(([method, { verb }]) => [method, verb] as const))("%s is a %s", (method, verb) => {
    expect(verb === "GET").toBe(!CHANGING.test(method));
  });

  test("what is changed by POST is 405 by GET, and says which verbs there are", async () => {
    const api = await TestApi.open();
    const token = await api.token("admin");
    for (const [, route] of REACHED.filter(([, { verb }]) => verb !== "GET")) {
      const verbs = REACHED.filter(([, { path }]) => path === route.path).map(([, { verb }]) => verb);
      for (const verb of ["GET", "HEAD", "PATCH", "TRACE"].filter((each) => !verbs.includes(each as "GET"))) {
        const reply = await api.ask(verb, pathOf(route), { token });
        expect(reply.status, `${verb} ${route.path}`).toBe(405);
        expect(reply.headers["allow"]).toBe(verbs.join(", "));
      }
    }
    expect(api.called).toEqual([]);
  });
});

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
