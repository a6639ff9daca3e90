import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { z } from "zod";
import { describe, expect, test } from "vitest";
import type { ControlMethod } from "../../src/control/methods.ts";
import { openApi } from "../../src/http/openapi.ts";
import type { Route } from "../../src/http/routes/route.ts";
import { ROUTES } from "../../src/http/routes.ts";
import { ApiGateway } from "../support/api-gateway.ts";
import { REACHED } from "../support/http.ts";
import { onEachDatabase } from "../support/registries.ts";

const DOCUMENT = new URL("../../../../docs/openapi.json", import.meta.url);
const ID = "02:00:00:00:00:01";

describe("the document", () => {
  test("in docs is the one that the code makes; USMP_UPDATE=1 writes it anew", () => {
    const made = `${JSON.stringify(openApi(), undefined, 2)}\n`;
    if (process.env["USMP_UPDATE"] === "1") writeFileSync(DOCUMENT, made);
    expect(
      existsSync(DOCUMENT) && readFileSync(DOCUMENT, "utf8") === made,
      "run USMP_UPDATE=1 npx vitest run contract",
    ).toBe(true);
  });

  test("names every method that is reached, and what it refers to is there", () => {
    const document = openApi() as {
      paths: Record<string, Record<string, { operationId: string }>>;
      components: Record<string, object>;
    };
    const operations = Object.values(document.paths).flatMap((verbs) => Object.values(verbs));
    expect(operations.map(({ operationId }) => operationId).sort()).toEqual(REACHED.map(([method]) => method).sort());
    for (const [, kind, name] of JSON.stringify(document).matchAll(/"#\/components\/(\w+)\/(\w+)"/g)) {
      expect(Object.keys(document.components[kind as string] ?? {})).toContain(name);
    }
    expect(JSON.stringify(document)).not.toContain("$defs");
  });

  test("methods that are not reached have a reason", () => {
    const absent = Object.entries(ROUTES).filter(([, route]) => "hostOnly" in route);
    expect(absent.map(([method]) => method)).toEqual(["factory-key"]);
  });
});

/** Holds an answer to its schema: nothing is missing, and nothing is there that the document does not tell of. */
function hold(schema: z.ZodType | undefined, value: unknown, method: string): void {
  const parsed = schema?.safeParse(value);
  expect(parsed?.error, `${method}: ${JSON.stringify(value)}`).toBeUndefined();
  expect(parsed?.data, method).toEqual(value);
}

onEachDatabase("answers of a gateway", (newHome) => {
  test("are what the document says, for every method; and keys are in the answers to enrol and rotate alone", async () => {
    const gateway = await ApiGateway.open(newHome());
    const seen = new Set<ControlMethod>();
    const keys: string[] = [];
    const texts: string[] = [];
    const ask = async (method: ControlMethod, path: string, body?: unknown): Promise<Record<string, unknown>> => {
      const route = ROUTES[method] as Route;
      const answer = (await gateway.json(route.verb, path, body)) as Record<string, unknown>;
      seen.add(method);
      if (route.result !== undefined) hold(route.result, answer, method);
      else for (const item of answer["items"] as unknown[]) hold(route.item, item, method);
      for (const [, psk] of JSON.stringify(answer).matchAll(/"psk":"([^"]+)"/g)) keys.push(psk as string);
      if (!["device.add", "device.rotate", "master.rotate"].includes(method)) texts.push(JSON.stringify(answer));
      return answer;
    };
    const enrolled = await ask("device.add", "/v1/devices", {
      devices: [{ id: ID, name: "pump", tags: ["garden"] }, {}, {}],
    });
    const [{ psk }] = enrolled["devices"] as [{ psk: string }];
    const session = await gateway.test.device(ID, psk, "udp");
    await session.send("hello");
    await gateway.test.device("02:00:00:00:00:77", psk).catch(() => {});
    await ask("gateway.status", "/v1/status");
    await ask("gateway.health", "/v1/health");
    await ask("device.list", "/v1/devices?tag=garden");
    await ask("device.show", `/v1/devices/${ID}`);
    await ask("device.seen", "/v1/seen");
    await ask("why", "/v1/refusals?limit=5");
    await ask("session.list", "/v1/sessions");
    const { message } = await ask("message.send", `/v1/devices/${ID}/messages`, {
      data: Buffer.from("hi").toString("base64"),
    });
    await ask("message.show", `/v1/queue/${message}`);
    await ask("message.queue", `/v1/queue?id=${ID}`);
    await ask("device.rename", `/v1/devices/${ID}/name`, { name: "<img src=x onerror=alert(1)>" });
    await ask("device.tag", `/v1/devices/${ID}/tags`, { add: ["water"], remove: ["garden"] });
    await ask("device.suspend", `/v1/devices/${ID}/suspend`);
    const waiting = await ask("message.send", `/v1/devices/${ID}/messages`, { data: "", ttlMs: 60_000 });
    await ask("message.cancel", `/v1/queue/${String(waiting["message"])}/cancel`);
    await ask("device.resume", `/v1/devices/${ID}/resume`);
    await ask("device.rotate", "/v1/rotations", { id: ID });
    await ask("device.rotate", "/v1/rotations", { all: true });
    const made = await ask("token.add", "/v1/tokens", { name: "panel", role: "viewer", ttlMs: 60_000 });
    texts.pop();
    await ask("token.list", "/v1/tokens");
    await ask("token.revoke", `/v1/tokens/${String(made["id"])}/revoke`);
    await ask("audit.verify", "/v1/audit/verdict");
    await ask("audit.export", "/v1/audit?from=2");
    await ask("audit.accept", "/v1/audit/accept");
    await ask("clock.confirm", "/v1/clock/confirm");
    await ask("master.rotate", "/v1/master/rotate", { graceMs: 60_000 });
    await ask("device.revoke", `/v1/devices/${ID}/revoke`);
    await ask("device.delete", `/v1/devices/${ID}`);
    await ask("backup", "/v1/backup", { passphrase: "six test words for a backup" });
    if ((await gateway.ask("GET", "/v1/messages")).status === 200) await ask("message.log", "/v1/messages");
    const live = ["message.follow", "events"];
    const unanswered = REACHED.map(([method]) => method).filter((method) => !seen.has(method));
    expect(unanswered.filter((method) => method !== "message.log").sort()).toEqual(live.sort());
    expect(keys.length).toBeGreaterThanOrEqual(6);
    for (const key of keys) expect(texts.filter((text) => text.includes(key.replace("hex:", "")))).toEqual([]);
    expect(texts.filter((text) => text.includes(String(made["token"])))).toEqual([]);
  });

  test("come in pages, as lines, and as a file", async () => {
    const gateway = await ApiGateway.open(newHome());
    await gateway.json("POST", "/v1/devices", { devices: Array.from({ length: 25 }, () => ({})) });
    const ids: string[] = [];
    let cursor: number | null = 0;
    let pages = 0;
    while (cursor !== null) {
      const page = (await gateway.json("GET", `/v1/devices?size=10&cursor=${cursor}`)) as {
        items: { id: string }[];
        next: number | null;
      };
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.next;
      pages++;
    }
    expect([pages, new Set(ids).size]).toEqual([3, 25]);
    const lines = (
      await (await gateway.ask("GET", "/v1/devices", undefined, { accept: "application/x-ndjson" })).text()
    )
      .trim()
      .split("\n");
    expect(lines.slice(0, -1).map((line) => (JSON.parse(line) as { item: { id: string } }).item.id)).toEqual(ids);
    expect(lines.at(-1)).toBe('{"end":true}');
    const audit = (await gateway.json("GET", "/v1/audit?size=1")) as { items: { seq: number }[]; next: number };
    expect(audit.next).toBe(2);
    expect(((await gateway.json("GET", "/v1/audit?size=1&cursor=2")) as typeof audit).items[0]?.seq).toBe(2);
    const file = await gateway.ask(
      "POST",
      "/v1/backup",
      { passphrase: "six test words for a backup" },
      { accept: "application/octet-stream" },
    );
    expect([file.headers.get("content-type"), (await file.arrayBuffer()).byteLength > 500]).toEqual([
      "application/octet-stream",
      true,
    ]);
  });

  test("the first admin's token is given once, on the first start alone, and opens everything", async () => {
    const home = newHome();
    const gateway = await ApiGateway.open(home);
    expect(gateway.admin).toMatch(/^usmp_[0-9a-f]{12}_[\w-]{43}$/);
    expect(gateway.test.gateway.takeFirstToken()).toBeUndefined();
    const rows = JSON.stringify(await gateway.json("GET", "/v1/audit"));
    expect(rows).toContain("token.add");
    expect(rows).not.toContain(gateway.admin.split("_")[2]);
    gateway.test.control.close();
    await gateway.test.gateway.close();
    const again = await ApiGateway.open(home);
    expect(again.admin).toBe("");
    expect((await again.ask("GET", "/v1/tokens", undefined, { authorization: `Bearer ${gateway.admin}` })).status).toBe(
      200,
    );
    expect((await fetch(`${again.base}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${again.base}/readyz`)).json()).toEqual({ ready: true, checks: [] });
    expect((await fetch(`${again.base}/metrics`)).status).toBe(401);
  });
});
