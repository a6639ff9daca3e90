import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";
import { begin, type Running } from "./running.ts";

const ID = "02:00:00:00:00:01";

let folder: string;
let data: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "usmp-remote-"));
  data = join(folder, "data");
});
const running: Running[] = [];
afterEach(async () => {
  for (const { environment, done } of running.splice(0)) {
    environment.stop();
    await done;
  }
  rmSync(folder, { recursive: true });
});

/** A gateway with its API; no command below is told where its data are. */
async function gateway(
  ...words: string[]
): Promise<{ readonly url: string; readonly token: string; readonly out: () => string }> {
  const started = begin([
    "gateway",
    "--data",
    data,
    "--tcp",
    "127.0.0.1:0",
    "--udp",
    "127.0.0.1:0",
    "--http",
    "127.0.0.1:0",
    "--json",
    ...words,
  ]);
  running.push(started);
  const line = started.environment.stdout.line((text) => text.includes('"event":"api"'));
  const failed = started.done.then(() => Promise.reject(new Error(started.environment.stderr.text)));
  const { url } = JSON.parse(await Promise.race([line, failed])) as { url: string };
  await started.environment.stdout.line((text) => text.includes('"topic":"token"'));
  return {
    url,
    token: join(data, "admin.token"),
    out: () => started.environment.stdout.text + started.environment.stderr.text,
  };
}

async function ask(
  words: readonly string[],
  variables: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const environment = virtualEnvironment(variables);
  const code = await run(words, environment);
  return { code, out: environment.stdout.text, err: environment.stderr.text };
}

describe("a gateway elsewhere", () => {
  test("its first admin's token is in a file of mode 0600, and in no output", async () => {
    const { token, out } = await gateway();
    expect(statSync(token).mode & 0o777).toBe(0o600);
    const text = readFileSync(token, "utf8").trim();
    expect(text).toMatch(/^usmp_/);
    expect(out()).not.toContain(text.slice(5));
  });

  test("is asked everything as the one here is: the same lines, in each form", async () => {
    const { url, token } = await gateway();
    const there = (...words: string[]) => ask([...words, "--url", url, "--token-file", token]);
    const here = (...words: string[]) => ask([...words, "--data", data]);
    const { psk } = JSON.parse(
      (await there("device", "add", ID, "--name", "pump", "--tag", "garden", "--json")).out,
    ) as { psk: string };
    expect(psk).toMatch(/^[0-9a-f]{64}$/);
    const many = (await there("device", "add", "--count", "1200", "--json")).out.trim().split("\n");
    expect(many).toHaveLength(1_200);
    const alike = [
      ["device", "show", ID],
      ["device", "list", "--tag", "garden", "--json"],
      ["device", "list"],
      ["device", "seen"],
      ["why"],
      ["token", "list", "--json"],
      ["audit", "verify"],
      ["audit", "export"],
    ];
    for (const words of alike) {
      const [one, other] = [await there(...words), await here(...words)];
      const plain = (text: string): string => text.replaceAll(/"lastUsedAt":"[^"]*"/g, "");
      expect({ ...one, out: plain(one.out) }, words.join(" ")).toEqual({ ...other, out: plain(other.out) });
    }
    for (const words of [
      ["device", "suspend", ID],
      ["device", "resume", ID],
      ["device", "rename", ID, "pump of the garden"],
      ["device", "tag", ID, "water", "garden-"],
      ["device", "rotate", ID, "--json"],
      ["device", "revoke", ID],
      ["device", "delete", ID],
      ["clock", "confirm"],
      ["audit", "accept"],
      ["master", "rotate", "--grace", "1d", "--json"],
      ["backup", join(folder, "fleet.backup"), "--recipient", AGE_RECIPIENT],
    ]) {
      expect(await there(...words), words.join(" ")).toMatchObject({ code: 0, err: "" });
    }
    expect(statSync(join(folder, "fleet.backup")).size).toBeGreaterThan(1_000);
    expect(await there("device", "show", ID)).toMatchObject({
      code: 1,
      err: expect.stringContaining("unknown-device"),
    });
  }, 120_000);

  test("tokens are made, listed and revoked from there; who has the wrong role or a revoked token hears so", async () => {
    const { url, token } = await gateway();
    const viewer = join(folder, "viewer.token");
    const made = await ask([
      "token",
      "add",
      "panel",
      "--role",
      "viewer",
      "--expires",
      "1h",
      "--save-token",
      viewer,
      "--json",
      "--url",
      url,
      "--token-file",
      token,
    ]);
    const { id } = JSON.parse(made.out) as { id: string };
    expect(made.out).not.toContain(readFileSync(viewer, "utf8").trim());
    const asViewer = (...words: string[]) => ask(words, { USMP_URL: url, USMP_TOKEN_FILE: viewer });
    expect(await asViewer("device", "list")).toMatchObject({ code: 0, err: "" });
    expect(await asViewer("device", "add")).toMatchObject({
      code: 1,
      err: expect.stringContaining("forbidden: this needs a token of role admin"),
    });
    expect((await ask(["token", "revoke", id, "--url", url, "--token-file", token])).out).toContain("revoked");
    expect(await asViewer("device", "list")).toMatchObject({
      code: 1,
      err: expect.stringContaining("unauthorized: this token was revoked"),
    });
    expect(await ask(["token", "add", "x", "--role", "viewer", "--save-token", viewer, "--data", data])).toMatchObject({
      code: 2,
    });
    expect((await ask(["token", "revoke", "usmp_x", "--data", data])).code).toBe(2);
  });

  test("what works on its own host alone is said", async () => {
    const { url, token } = await gateway();
    const there = (...words: string[]) => ask([...words, "--url", url, "--token-file", token]);
    expect(await there("factory-key", "2026-11")).toMatchObject({
      code: 2,
      err: expect.stringContaining("on the gateway's own host alone"),
    });
    expect(await there("master", "rotate", "--to", "next")).toMatchObject({
      code: 2,
      err: expect.stringContaining("to: works on the gateway's own host alone"),
    });
  });
});

describe("a token", () => {
  test("is sent to nobody in the clear without a word for it, and read from no file that others can read", async () => {
    const file = join(folder, "a.token");
    writeFileSync(file, `usmp_0123456789ab_${"A".repeat(43)}\n`, { mode: 0o600 });
    const asked = (url: string, ...words: string[]) =>
      ask(["device", "list", "--url", url, "--token-file", file, ...words]);
    expect(await asked("http://192.0.2.1:9080")).toMatchObject({
      code: 2,
      err: expect.stringContaining("in the clear"),
    });
    expect(await asked("http://localhost.example:9080")).toMatchObject({ code: 2 });
    for (const url of ["nonsense", "ftp://127.0.0.1", "http://user:pass@127.0.0.1", "http://127.0.0.1/?token=1"])
      expect((await asked(url)).code, url).toBe(2);
    expect(await asked("http://127.0.0.1:1")).toMatchObject({
      code: 1,
      err: expect.stringContaining("remote: the gateway at http://127.0.0.1:1 cannot be reached"),
    });
    expect(await ask(["device", "list", "--url", "http://127.0.0.1:1"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--token-file"),
    });
    expect(await ask(["device", "list", "--token-file", file])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--url"),
    });
    chmodSync(file, 0o644);
    expect(await asked("http://127.0.0.1:1")).toMatchObject({ code: 2, err: expect.stringContaining("chmod 600") });
    writeFileSync(file, "hunter2\n");
    chmodSync(file, 0o600);
    const { code, err } = await asked("http://127.0.0.1:1");
    expect([code, err.includes("hunter2")]).toEqual([2, false]);
  });

  test("is no use at what is no gateway, which is said", async () => {
    const other = createServer((_, response) => response.end("<html>")).listen(0, "127.0.0.1");
    await new Promise((listening) => other.once("listening", listening));
    const file = join(folder, "a.token");
    writeFileSync(file, `usmp_0123456789ab_${"A".repeat(43)}\n`, { mode: 0o600 });
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    expect(await ask(["device", "list", "--url", url, "--token-file", file])).toMatchObject({
      code: 1,
      err: expect.stringContaining("no gateway"),
    });
    other.close();
  });

  test("goes over TLS to a gateway whose certificate is trusted by --ca-file, and to no other", async () => {
    const [certificate, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        key,
        "-out",
        certificate,
      ],
      { stdio: "ignore" },
    );
    const { url, token } = await gateway("--http-certificate", certificate, "--http-key", key);
    expect(url).toMatch(/^https:/);
    const asked = (...words: string[]) => ask(["device", "list", "--url", url, "--token-file", token, ...words]);
    expect(await asked("--ca-file", certificate)).toMatchObject({ code: 0 });
    expect(await asked()).toMatchObject({ code: 1, err: expect.stringContaining("--ca-file") });
  });
});

/** Of a test identity that was thrown away. */
const AGE_RECIPIENT = "age1u2dyeqmeux8l5cujkpv6m7ax3x3s6urcw3633mh30c26r4cl24qs06p8ps";
