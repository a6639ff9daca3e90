import { expect, test } from "vitest";
import { type HealthSources, health } from "../../src/health/health.ts";
import { livenessHandler, readinessHandler } from "../../src/http/health.ts";
import { metricsHandler } from "../../src/metrics/http.ts";
import type { StorageDescription } from "../../src/registry/registry.ts";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

const SECRET_PLACE = "connect ECONNREFUSED /run/postgres/private.sock";

function sources(changes: Partial<HealthSources> = {}, ageMs = 0, problem?: string): HealthSources {
  return {
    registry: { ageMs, describe: async () => ({ problem }) as StorageDescription },
    storeProblem: async () => undefined,
    ports: () => ({ wanted: ["tcp", "udp"], bound: ["tcp", "udp"] }),
    workers: { wanted: 0, listening: 0 },
    closing: () => false,
    ...changes,
  };
}

const request = (method = "GET") => new Request("http://127.0.0.1/readyz", { method });

async function ready(given: HealthSources): Promise<{ status: number; text: string }> {
  const response = await readinessHandler({ health: (options) => health(given, options) })(request());
  return { status: response.status, text: await response.text() };
}

test("a gateway that runs is ready, and says what was looked at", async () => {
  const { status, text } = await ready(sources());
  expect(status).toBe(200);
  expect(JSON.parse(text)).toEqual({
    ready: true,
    checks: [
      { name: "registry", ok: true, detail: "fresh" },
      { name: "database", ok: true, detail: "reached" },
      { name: "store", ok: true, detail: "takes messages" },
      { name: "ports", ok: true, detail: "listening on tcp and udp" },
      { name: "shutdown", ok: true, detail: "none under way" },
    ],
  });
});

test.each([
  [
    "registry",
    sources({}, 61_000),
    "not compared with the database for 61 s: nobody new is admitted, sessions live on",
  ],
  ["database", sources({}, 0, SECRET_PLACE), "cannot be reached"],
  ["store", sources({ storeProblem: async () => SECRET_PLACE }), "takes no messages"],
  ["ports", sources({ ports: () => ({ wanted: ["tcp", "udp"], bound: ["udp"] }) }), "not listening on tcp"],
  ["workers", sources({ workers: { wanted: 2, listening: 0 } }), "0 of 2 listen"],
  ["shutdown", sources({ closing: () => true }), "the gateway ends"],
])("without %s it is not ready, and a stranger hears no more than why", async (name, given, detail) => {
  const { status, text } = await ready(given);
  expect(status).toBe(503);
  const view = JSON.parse(text) as { checks: { ok: boolean }[] };
  expect(view.checks.filter(({ ok }) => !ok)).toEqual([{ name, ok: false, detail }]);
  expect(text).not.toContain("private.sock");
});

test("it says how many workers listen, and is ready while one does", async () => {
  const { ready, checks } = await health(sources({ workers: { wanted: 4, listening: 1 } }), { details: false });
  expect(ready).toBe(true);
  expect(checks.at(-1)).toEqual({ name: "workers", ok: true, detail: "1 of 4 listen" });
});

test("the control socket hears the whole of it", async () => {
  const { checks } = await health(sources({}, 0, SECRET_PLACE), { details: true });
  expect(checks[1]?.detail).toBe(`cannot be reached: ${SECRET_PLACE}`);
});

test("a running gateway: handlers, gateway.health, and the end", async () => {
  const home = new TestHome(undefined);
  const testGateway = await TestGateway.open(home);
  const { gateway, control } = testGateway;
  expect(await control.call("gateway.health", {})).toEqual(await gateway.health());
  expect((await gateway.health()).ready).toBe(true);
  const alive = await livenessHandler(request());
  expect([alive.status, await alive.json()]).toEqual([200, { alive: true }]);
  const metrics = metricsHandler(gateway);
  const response = await metrics(request());
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await response.text()).toContain("usmp_build_info");
  expect(await (await metrics(request("HEAD"))).text()).toBe("");
  const closing = gateway.close();
  expect(await gateway.health()).toMatchObject({ ready: false });
  await closing;
  await home.remove();
});
