import { once } from "node:events";
import { describe, expect, test } from "vitest";
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
