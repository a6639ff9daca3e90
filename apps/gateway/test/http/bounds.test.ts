import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { TestApi } from "../support/http.ts";

interface LogParams {
  readonly after?: number;
  readonly since?: number;
  readonly limit?: number;
  readonly follow?: boolean;
}

const STORED = 250;

/** As MessageLog does: a limit without `after` and `since` gives the newest. Each message's time is its id. */
async function* log({ after, since, limit = STORED }: LogParams): AsyncGenerator<object> {
  const newest = after === undefined && since === undefined;
  let id = newest ? Math.max(STORED - limit, 0) : Math.max(after ?? 0, (since ?? 0) - 1);
  for (let left = limit; left > 0 && id < STORED; left--) yield { id: ++id };
}

async function logApi(): Promise<{ api: TestApi; token: string; asked: LogParams[] }> {
  const asked: LogParams[] = [];
  const api = await TestApi.open({
    handlers: {
      "message.log": (params) => {
        asked.push(params as LogParams);
        return log(params as LogParams);
      },
    },
  });
  return { api, token: await api.token("operator"), asked };
}

/** The ids of all pages. */
async function allPages(api: TestApi, token: string, query: string): Promise<number[]> {
  const ids: number[] = [];
  for (let cursor = ""; ; ) {
    const { status, text } = await api.ask("GET", `/v1/messages?${query}${cursor}`, { token });
    expect(status, text).toBe(200);
    const { items, next } = JSON.parse(text) as { items: { id: number }[]; next: number | null };
    ids.push(...items.map(({ id }) => id));
    if (next === null) return ids;
    cursor = `&cursor=${next}`;
  }
}

const from = (first: number): number[] => Array.from({ length: STORED - first + 1 }, (_, index) => first + index);

describe("pages of messages", () => {
  test.each([
    ["", from(1)],
    ["size=7", from(1)],
    ["after=20", from(21)],
    ["since=31", from(31)],
    ["limit=5", from(STORED - 4)],
    ["limit=130", from(STORED - 129)],
  ])("%j gives together what there is, in order", async (query, ids) => {
    const { api, token } = await logApi();
    expect(await allPages(api, token, query)).toEqual(ids);
  });

  test.each(["application/x-ndjson", "text/event-stream"])("a live log as %s is not cut into any", async (accept) => {
    const { api, token, asked } = await logApi();
    const { text } = await api.ask("GET", "/v1/messages?follow=true", { token, headers: { accept } });
    expect([...text.matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id))).toEqual(from(1));
    expect(asked).toEqual([{ follow: true }]);
  });
});

describe("hosts that are addresses", () => {
  test("are ours when they are bound, loopback, or allowed", async () => {
    const api = await TestApi.open({
      settings: {
        allowedHosts: ["192.0.2.7", "[2001:DB8::7]", "2001:db8::8", "gateway.example:443", "192.0.2.8:9443"],
      },
    });
    const token = await api.token("viewer");
    const asked = async (host: string): Promise<number> =>
      (await api.ask("GET", "/v1/status", { token, headers: { host } })).status;
    for (const host of [
      "192.0.2.7",
      "192.0.2.7:9443",
      "192.0.2.8",
      "[2001:db8::7]:1",
      "[2001:db8::8]",
      "gateway.example",
      "127.0.0.1",
      "[::1]",
    ]) {
      expect(await asked(host), host).toBe(200);
    }
    for (const host of ["192.0.2.9", "[2001:db8::9]", "192.0.2.7.evil.example"])
      expect(await asked(host), host).toBe(403);
  });
});

test("requests without a token are bounded by source, and probes of a token are not held up by them", async () => {
  let answered = 0;
  const api = await TestApi.open({
    extraRoutes: [
      {
        path: "/readyz",
        role: "anyone",
        answer: () => {
          answered++;
          return new Response("{}");
        },
      },
    ],
  });
  const statuses: number[] = [];
  for (let index = 0; index < 120; index++) statuses.push((await api.ask("GET", "/readyz")).status);
  expect(statuses).toEqual([...Array<number>(100).fill(200), ...Array<number>(20).fill(429)]);
  expect(answered).toBe(100);
  expect((await api.ask("GET", "/readyz", { token: await api.token("viewer") })).status).toBe(200);
  await api.time.clock.elapse(1_000);
  expect((await api.ask("GET", "/readyz")).status).toBe(200);
});

describe("places for streams", () => {
  async function open(mostStreams: number): Promise<{ api: TestApi; ask: (path: string) => Promise<number> }> {
    const waiting = async function* (_: unknown, __: unknown, signal: AbortSignal): AsyncGenerator<object> {
      await once(signal, "abort");
      yield {};
    };
    const api = await TestApi.open({ limits: { mostStreams }, handlers: { events: waiting, "device.list": waiting } });
    const token = await api.token("admin");
    const ask = async (path: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}`, accept: "application/x-ndjson" };
      const asked = request({ host: "127.0.0.1", port: api.port, path, agent: false, headers });
      asked.on("error", () => {}).end();
      const [response] = (await once(asked, "response")) as [IncomingMessage];
      response.on("error", () => {}).resume();
      onTestFinished(() => void response.destroy());
      return response.statusCode ?? 0;
    };
    return { api, ask };
  }

  test.each(["/v1/events", "/v1/devices"])("are not overshot by many that ask %s at once", async (path) => {
    const { api, ask } = await open(3);
    const statuses = await Promise.all(Array.from({ length: 10 }, () => ask(path)));
    expect(statuses.sort()).toEqual([200, 200, 200, ...Array<number>(7).fill(503)]);
    await vi.waitFor(() => expect(api.server.counts.open).toBe(3));
    expect(await ask("/v1/devices")).toBe(503);
  });

  test("are given back by streams that never began", async () => {
    const failing = await TestApi.open({
      limits: { mostStreams: 1 },
      handlers: {
        events: async function* () {
          yield await Promise.reject(new Error("no"));
        },
      },
    });
    const token = await failing.token("admin");
    for (let index = 0; index < 3; index++) {
      expect((await failing.ask("GET", "/v1/events", { token })).status).toBe(500);
    }
  });
});
