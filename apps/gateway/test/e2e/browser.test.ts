import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium as browsers, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ApiGateway } from "../support/api-gateway.ts";
import { chromium } from "../support/browser.ts";
import { HTTP } from "../support/http.ts";
import { TestHome } from "../support/registries.ts";

const executablePath = chromium();

/** Of a page's world, which this one has no types of. */
interface PageElement {
  src: string;
  onload: () => void;
  onerror: () => void;
  readonly contentDocument: object | null;
}
declare const document: {
  createElement(tag: string): PageElement;
  readonly head: { append(element: PageElement): void };
  readonly body: { append(element: PageElement): void };
};

/** What a page tried, and what came of it. */
type Outcome = string;

describe.skipIf(executablePath === undefined)("a page in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await browsers.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
      args: ["--no-sandbox"],
    });
  });
  afterAll(() => browser?.close());

  /** An empty page of an origin of its own. */
  async function page(): Promise<{ readonly page: Page; readonly origin: string }> {
    const server = createServer((_, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><link rel=icon href=data:,>"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
    const opened = await browser.newPage();
    onTestFinished(async () => {
      await opened.close();
      server.closeAllConnections();
      server.close();
    });
    await opened.goto(origin);
    return { page: opened, origin };
  }

  async function gateway(allowedOrigins: readonly string[]): Promise<ApiGateway> {
    const home = new TestHome(undefined);
    const opened = await ApiGateway.open(home, { http: { ...HTTP, allowedOrigins } });
    onTestFinished(() => home.remove());
    return opened;
  }

  test("of a foreign origin can neither read nor change anything, even with a token", async () => {
    const foreign = await page();
    const api = await gateway(["https://panel.example"]);
    const before = await api.json("GET", "/v1/audit?size=1000");
    const outcomes = await foreign.page.evaluate(
      async ({ base, token }) => {
        const tried: Record<string, Outcome> = {};
        const fetched = async (name: string, path: string, options: RequestInit): Promise<void> => {
          tried[name] = await fetch(base + path, options).then(
            async (response) => `${response.type} ${await response.text()}`,
            () => "blocked",
          );
        };
        const headers = { authorization: `Bearer ${token}` };
        await fetched("read", "/v1/status", { headers });
        await fetched("read without a token", "/healthz", {});
        await fetched("document", "/openapi.json", {});
        await fetched("change", "/v1/audit/accept", { method: "POST", headers });
        await fetched("change with a body", "/v1/devices", {
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
          body: '{"devices":[{}]}',
        });
        await fetched("change as a simple request", "/v1/devices", {
          method: "POST",
          mode: "no-cors",
          headers: { "content-type": "text/plain" },
          body: '{"devices":[{}]}',
        });
        await fetched("delete", "/v1/devices/02:00:00:00:00:01", { method: "DELETE", headers });
        tried["socket"] = await new Promise<string>((resolve) => {
          const socket = new WebSocket(`${base.replace("http", "ws")}/v1/events`, ["usmp.v1", `usmp.token.${token}`]);
          socket.onopen = () => resolve("open");
          socket.onerror = () => resolve("blocked");
        });
        tried["stream"] = await new Promise<string>((resolve) => {
          const stream = new EventSource(`${base}/v1/events`);
          stream.onopen = () => resolve("open");
          stream.onerror = () => resolve("blocked");
        });
        tried["script"] = await new Promise<string>((resolve) => {
          const script = document.createElement("script");
          script.src = `${base}/openapi.json`;
          script.onload = () => resolve("loaded");
          script.onerror = () => resolve("blocked");
          document.head.append(script);
        });
        tried["frame"] = await new Promise<string>((resolve) => {
          const frame = document.createElement("iframe");
          frame.src = `${base}/openapi.json`;
          frame.onload = () => resolve(frame.contentDocument === null ? "blocked" : "readable");
          document.body.append(frame);
        });
        return tried;
      },
      { base: api.base, token: api.admin },
    );
    expect(Object.keys(outcomes)).toHaveLength(11);
    for (const [name, outcome] of Object.entries(outcomes)) expect(outcome, name).toBe("blocked");
    expect(await api.json("GET", "/v1/audit?size=1000")).toEqual(before);
    expect(await api.json("GET", "/v1/devices")).toMatchObject({ items: [] });
  });

  test("of an allowed origin reads, changes and follows the live stream, by WebSocket and by server-sent events", async () => {
    const panel = await page();
    const api = await gateway([panel.origin]);
    const outcomes = await panel.page.evaluate(
      async ({ base, token }) => {
        const headers = { authorization: `Bearer ${token}` };
        const heard: string[] = [];
        const socket = new WebSocket(`${base.replace("http", "ws")}/v1/events`, ["usmp.v1", `usmp.token.${token}`]);
        const item = new Promise<void>((resolve) => {
          socket.onmessage = ({ data }) => {
            heard.push(String(data));
            resolve();
          };
        });
        await new Promise((resolve, reject) => {
          socket.onopen = resolve;
          socket.onerror = reject;
        });
        const stream = await fetch(`${base}/v1/events`, { headers: { ...headers, accept: "text/event-stream" } });
        const reader = stream.body?.getReader();
        const made = await fetch(`${base}/v1/devices`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
          body: '{"devices":[{"name":"pump"}]}',
        });
        await item;
        const piece = new TextDecoder().decode((await reader?.read())?.value);
        return {
          protocol: socket.protocol,
          heard,
          piece,
          status: made.status,
          version: made.headers.get("usmp-version"),
        };
      },
      { base: api.base, token: api.admin },
    );
    expect(outcomes).toMatchObject({ protocol: "usmp.v1", status: 200, version: "test" });
    expect(JSON.parse(outcomes.heard[0] ?? "")).toMatchObject({ item: { type: "registry", change: "added" } });
    expect(outcomes.piece).toMatch(/^data: \{"type":"registry"/);
  });
});
