import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SinkError } from "../../../src/sinks/sink.ts";
import type { Resolve } from "../../../src/sinks/webhook/guarded-post.ts";
import { openWebhookSink } from "../../../src/sinks/webhook/webhook-sink.ts";
import { inbound } from "../messages.ts";
import { Receiver } from "./receiver.ts";

/** Test secrets. */
const SECRET = `whsec_${Buffer.from("a test secret of thirty-two byte").toString("base64")}`;
const NEXT_SECRET = `whsec_${Buffer.from("another test secret of 32 bytes.").toString("base64")}`;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "usmp-webhook-"));
  writeFileSync(join(directory, "secret"), `${SECRET}\n`, { mode: 0o600 });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const noNames: Resolve = async (host) => {
  throw new Error(`nobody may resolve ${host}`);
};

async function sink(options: Record<string, unknown>, { resolve = noNames, now = Date.now } = {}) {
  const context = { name: "hook", dataDirectory: directory };
  return openWebhookSink({ secretFile: "secret", ...options }, context, { resolve, now });
}

const BATCH = [inbound(1), inbound(2, Uint8Array.of(0xff, 0))];
const deliver = async (options: Record<string, unknown>, parts = {}, signal = new AbortController().signal) =>
  (await sink(options, parts)).deliver(BATCH, signal);

/** What deliver() rejects with. */
async function failure(options: Record<string, unknown>, parts = {}): Promise<SinkError> {
  const error = await deliver(options, parts).then(
    () => expect.unreachable("it was delivered"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SinkError);
  return error as SinkError;
}

describe("a request", () => {
  test("carries the batch, and the libraries of Standard Webhooks verify it", async () => {
    const receiver = await Receiver.start();
    await deliver({ url: `http://127.0.0.1:${receiver.port}/hook?a=1`, allow: ["127.0.0.1"] });
    const [{ path, headers, body }] = receiver.received as [(typeof receiver.received)[0]];
    expect(path).toBe("/hook?a=1");
    expect(headers["content-type"]).toBe("application/json");
    const verified = new Webhook(SECRET).verify(body, headers as Record<string, string>);
    expect(verified).toEqual({
      type: "messages",
      sink: "hook",
      messages: [
        expect.objectContaining({
          id: 1,
          device: "02:00:00:00:00:01",
          direction: "in",
          text: "reading 1",
          sequence: 1,
        }),
        expect.not.objectContaining({ text: expect.anything() }),
      ],
    });
    expect(() => new Webhook(NEXT_SECRET).verify(body, headers as Record<string, string>)).toThrow();
    const changed = body.replace("reading 1", "reading 7");
    expect(() => new Webhook(SECRET).verify(changed, headers as Record<string, string>)).toThrow();
  });

  test("is verified by the example of docs/sinks.md, as long as it is fresh", async () => {
    const manual = readFileSync(new URL("../../../../../docs/sinks.md", import.meta.url), "utf8");
    const example = /```js verify\n(.*?)```/s.exec(manual)?.[1] ?? "";
    writeFileSync(join(directory, "verify.mjs"), example);
    const { verify } = (await import(/* @vite-ignore */ join(directory, "verify.mjs"))) as {
      verify(headers: object, body: string, secret: string, now?: number): boolean;
    };
    const receiver = await Receiver.start();
    await deliver({ url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] });
    const [{ headers, body }] = receiver.received as [(typeof receiver.received)[0]];
    expect(verify(headers, body, SECRET)).toBe(true);
    expect(verify(headers, `${body} `, SECRET)).toBe(false);
    expect(verify(headers, body, NEXT_SECRET)).toBe(false);
    expect(verify(headers, body, SECRET, Date.now() + 301_000)).toBe(false);
    expect(verify({}, body, SECRET)).toBe(false);
  });

  test("of a batch that comes again has the same id and another time; two secrets both sign", async () => {
    writeFileSync(join(directory, "secret"), `${SECRET}\n${NEXT_SECRET}\n`, { mode: 0o600 });
    const receiver = await Receiver.start();
    let now = Date.now();
    const hook = await sink({ url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] }, { now: () => now });
    await hook.deliver(BATCH, new AbortController().signal);
    now += 60_000;
    await hook.deliver(BATCH, new AbortController().signal);
    await hook.deliver([inbound(3)], new AbortController().signal);
    const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    const times = receiver.received.map(({ headers }) => Number(headers["webhook-timestamp"]));
    expect(times[1]).toBe((times[0] as number) + 60);
    for (const secret of [SECRET, NEXT_SECRET]) {
      const [{ headers, body }] = receiver.received as [(typeof receiver.received)[0]];
      new Webhook(secret).verify(body, headers as Record<string, string>);
    }
  });
});

describe("answers", () => {
  test.each([
    [200, undefined],
    [204, undefined],
    [400, false],
    [401, false],
    [404, false],
    [410, false],
    [408, true],
    [425, true],
    [429, true],
    [500, true],
    [503, true],
    [301, false],
    [302, false],
    [303, false],
  ])("%i: another try %s", async (status, retry) => {
    const receiver = await Receiver.start();
    receiver.answer = () => ({ status, headers: status < 400 ? { location: "/other" } : {} });
    const options = { url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] };
    if (retry === undefined) await deliver(options);
    else expect(await failure(options)).toMatchObject({ retry, message: expect.stringContaining(String(status)) });
    expect(receiver.received).toHaveLength(1);
  });

  test.each([
    ["120", 120_000],
    ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
    ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
    ["soon", undefined],
  ])("Retry-After %s is handed on", async (text, retryAfterMs) => {
    const receiver = await Receiver.start();
    receiver.answer = () => ({ status: 429, headers: { "retry-after": text } });
    const now = () => Date.parse("2026-01-01T00:00:00Z");
    const error = await failure({ url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] }, { now });
    expect(error.retryAfterMs).toBe(retryAfterMs);
  });

  test("none in time, and nobody there: another try", async () => {
    const receiver = await Receiver.start();
    receiver.answer = () => undefined;
    const options = { url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"], timeoutMs: 50 };
    expect(await failure(options)).toMatchObject({ retry: true });
    expect(await failure({ ...options, url: "http://127.0.0.1:1/" })).toMatchObject({
      retry: true,
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("a body without end is not read to its end", async () => {
    const receiver = await Receiver.start();
    receiver.answer = () => ({ status: 200, body: "x".repeat(50_000_000) });
    const began = process.memoryUsage().external;
    await deliver({ url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] });
    expect(receiver.received).toHaveLength(1);
    expect(process.memoryUsage().external - began).toBeLessThan(100_000_000);
  });

  test("the gateway's end ends it", async () => {
    const receiver = await Receiver.start();
    const end = new AbortController();
    receiver.answer = () => {
      end.abort(new Error("the gateway ends"));
      return undefined;
    };
    const options = { url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] };
    await expect(deliver(options, {}, end.signal)).rejects.toThrow("the gateway ends");
  });
});

describe("threat 47: a target within", () => {
  const HIDDEN = [
    "127.0.0.1",
    "2130706433", // the same in one number
    "0x7f.1",
    "0.0.0.0",
    "169.254.169.254",
    "10.0.0.1",
    "100.64.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "[fd00::1]",
  ];

  test.each(HIDDEN)("https://%s/ is refused without a connection", async (host) => {
    const receiver = await Receiver.start();
    const error = await failure({ url: `https://${host}:${receiver.port}/` });
    expect(error).toMatchObject({
      retry: false,
      message: expect.stringContaining("no address of the public Internet"),
    });
    expect(receiver.received).toHaveLength(0);
  });

  test("localhost is what it resolves to", async () => {
    const { resolveBySystem } = await import("../../../src/sinks/webhook/guarded-post.ts");
    const error = await failure({ url: "https://localhost:1/" }, { resolve: resolveBySystem });
    expect(error).toMatchObject({ retry: false, message: expect.stringMatching(/^localhost is (127\.0\.0\.1|::1), /) });
  });

  test("a name is refused for what it resolves to, one bad address among good ones being enough", async () => {
    const receiver = await Receiver.start();
    const url = `https://evil.example:${receiver.port}/`;
    for (const addresses of [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:10.0.0.1"]]) {
      const resolve: Resolve = async () =>
        addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      const error = await failure({ url }, { resolve });
      expect(error.message).toMatch(/^evil\.example is .*no address of the public Internet/);
      expect(error.retry).toBe(false);
    }
    expect(receiver.received).toHaveLength(0);
  });

  test("DNS rebinding: a name is resolved once for each connection, which goes to the address that was checked", async () => {
    const receiver = await Receiver.start();
    const asked: string[] = [];
    const resolve: Resolve = async (host) => {
      asked.push(host);
      return [{ address: "127.0.0.1", family: 4 }];
    };
    const hook = await sink({ url: `https://rebind.example:${receiver.port}/`, timeoutMs: 200 }, { resolve });
    const tries = [1, 2, 3].map(() => hook.deliver(BATCH, new AbortController().signal).catch((error: Error) => error));
    for (const error of await Promise.all(tries)) {
      expect(error).toMatchObject({ retry: false, message: expect.stringContaining("no address of the public") });
    }
    expect(asked).toEqual(["rebind.example", "rebind.example", "rebind.example"]);
    expect(receiver.received).toHaveLength(0);
  });

  test("the connection goes where the one look-up said, not where another would", async () => {
    const receiver = await Receiver.start();
    let asked = 0;
    const resolve: Resolve = async () => [{ address: asked++ === 0 ? "127.0.0.1" : "127.0.0.2", family: 4 }];
    await deliver({ url: `http://panel.test:${receiver.port}/`, allow: ["panel.test"] }, { resolve });
    expect([asked, receiver.received.length]).toEqual([1, 1]);
    expect(receiver.received[0]?.headers.host).toBe(`panel.test:${receiver.port}`);
  });

  test.each([
    ["https://127.0.0.1:PORT/within", "no address of the public Internet"],
    ["https://169.254.169.254/latest/meta-data/", "no address of the public Internet"],
    ["https://[::1]:PORT/", "no address of the public Internet"],
    ["https://inside.example/", "inside.example is 10.0.0.7"],
    ["http://8.8.8.8/", "https:// alone"],
    ["file:///etc/passwd", "https:// alone"],
    ["https://user:word@8.8.8.8/", "a user or a password"],
  ])("a redirect to %s is refused", async (location, message) => {
    const [front, within] = [await Receiver.start(), await Receiver.start()];
    const target = location.replace("PORT", String(within.port));
    front.answer = () => ({ status: 307, headers: { location: target } });
    const resolve: Resolve = async () => [{ address: "10.0.0.7", family: 4 }];
    const url = `http://127.0.0.1:${front.port}/`;
    // Allowed on that one port; the port behind it is not.
    const error = await failure({ url, allow: [`127.0.0.1:${front.port}`] }, { resolve });
    expect(error).toMatchObject({ retry: false, message: expect.stringContaining(message) });
    expect([front.received.length, within.received.length]).toEqual([1, 0]);
  });

  test("redirects that keep the method are followed where it is allowed, with body and signature, three at most", async () => {
    const receiver = await Receiver.start();
    receiver.answer = ({ path }) =>
      path === "/3" ? { status: 200 } : { status: 308, headers: { location: `/${Number(path.slice(1)) + 1}` } };
    const options = { url: `http://127.0.0.1:${receiver.port}/0`, allow: [`127.0.0.1:${receiver.port}`] };
    await deliver(options);
    expect(receiver.received.map(({ path }) => path)).toEqual(["/0", "/1", "/2", "/3"]);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    receiver.answer = ({ path }) => ({ status: 307, headers: { location: path } });
    expect(await failure(options)).toMatchObject({ retry: false, message: "more than 3 redirects" });
    receiver.answer = () => ({ status: 307 });
    expect(await failure(options)).toMatchObject({ retry: false });
  });

  test("http:// goes to hosts that are allowed by name alone, and a proxy of the environment is not used", async () => {
    const [receiver, proxy] = [await Receiver.start(), await Receiver.start()];
    expect(await failure({ url: "http://8.8.8.8/" })).toMatchObject({ retry: false });
    Object.assign(process.env, { NODE_USE_ENV_PROXY: "1", http_proxy: `http://127.0.0.1:${proxy.port}` });
    try {
      await deliver({ url: `http://127.0.0.1:${receiver.port}/`, allow: ["127.0.0.1"] });
    } finally {
      delete process.env["NODE_USE_ENV_PROXY"];
      delete process.env["http_proxy"];
    }
    expect([receiver.received.length, proxy.received.length]).toEqual([1, 0]);
  });
});

describe.skipIf(spawnSync("openssl", ["version"]).status !== 0)("certificates", () => {
  test("are checked, also when the environment says otherwise; `caFile` vouches for one's own", async () => {
    const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    const subject = ["-subj", "/CN=hook.test", "-addext", "subjectAltName=DNS:hook.test"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, "-days", "2", ...subject], {
      stdio: "pipe",
    });
    const receiver = await Receiver.start({ key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") });
    const resolve: Resolve = async () => [{ address: "127.0.0.1", family: 4 }];
    const url = `https://hook.test:${receiver.port}/`;
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      expect(await failure({ url, allow: ["hook.test"] }, { resolve })).toMatchObject({ retry: true });
      const other = { url: url.replace("hook", "other"), allow: ["other.test"], caFile: "cert.pem" };
      expect((await failure(other, { resolve })).message).toContain("altnames");
    } finally {
      delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    }
    expect(receiver.received).toHaveLength(0);
    await deliver({ url, allow: ["hook.test"], caFile: "cert.pem" }, { resolve });
    expect(receiver.received).toHaveLength(1);
  });
});

describe("options", () => {
  test.each([
    [{}, /option url: missing; it must be a text/],
    [{ url: "nowhere" }, /option url: "nowhere" is no URL/],
    [{ url: "ftp://example.com/" }, /option url: ftp: is neither https: nor http:/],
    [
      { url: "https://example.com/", secretFil: "x" },
      /option secretFil: there is no such option; did you mean secretFile\?/,
    ],
    [{ url: "https://example.com/", secretFile: "none" }, /secret .*none is missing; make one: .*openssl rand/],
    [{ url: "https://example.com/", timeoutMs: 0 }, /option timeoutMs: 0; it must be a whole number from 1 to 25000/],
    [{ url: "https://example.com/", allow: "localhost" }, /option allow: "localhost"; it must be a list of texts/],
    [{ url: "https://example.com/", caFile: "none.pem" }, /option caFile: ENOENT/],
  ])("%j", async (options, message) => {
    await expect(sink(options)).rejects.toThrow(message);
  });

  test.each([
    ["", 0o600, /is empty/],
    ["hunter2", 0o600, /line 1: it must be "whsec_" and the base64 of 24 to 64 random bytes/],
    ["whsec_c2hvcnQ=", 0o600, /line 1/],
    [SECRET, 0o640, /can be read or changed by others \(mode 640\).*make a new one/],
  ])("a secret %j of mode %i is refused, and not shown", async (text, mode, message) => {
    rmSync(join(directory, "secret"));
    writeFileSync(join(directory, "secret"), text, { mode });
    const error = await sink({ url: "https://example.com/" }).then(
      () => expect.unreachable(),
      (reason: Error) => reason,
    );
    expect(error.message).toMatch(message);
    if (text !== "") expect(error.message).not.toContain(text);
  });
});
