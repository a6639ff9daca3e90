import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { runSeed } from "@usmp/testkit";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openApi } from "../../src/http/openapi.ts";
import type { Route } from "../../src/http/routes/route.ts";
import { ROUTES } from "../../src/http/routes.ts";
import { ApiGateway } from "../support/api-gateway.ts";
import { TestHome } from "../support/registries.ts";
import { anyJson, type Schema, valuesOf } from "./json-schema-values.ts";

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly schema: Schema;
}
interface Operation {
  readonly operationId: keyof typeof ROUTES;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly schema: Schema } } };
  readonly responses: Readonly<Record<string, unknown>>;
}
interface Asked {
  readonly verb: string;
  readonly path: string;
  readonly operation: Operation;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

const DOCUMENT = JSON.parse(JSON.stringify(openApi())) as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};
const { schemas } = DOCUMENT.components;
/** A passphrase that is one costs Argon2id's second: the contract tests have it. */
const SLOW = new Set<string>(["backup"]);

const OPERATIONS = Object.entries(DOCUMENT.paths).flatMap(([path, verbs]) =>
  Object.entries(verbs).map(([verb, operation]) => ({ path, verb: verb.toUpperCase(), operation })),
);

/** A request for one operation of the document: its parameters and body by their schemas, or nearly so. */
function requests(): fc.Arbitrary<Asked> {
  const kinds = OPERATIONS.map(({ path, verb, operation }) => {
    const { parameters = [], requestBody } = operation;
    const values = fc.record(
      Object.fromEntries(parameters.map(({ name, schema }) => [name, valuesOf(schema, schemas)])),
      {
        requiredKeys: parameters.filter((each) => each.in === "path").map(({ name }) => name),
      },
    );
    const given = requestBody?.content["application/json"].schema;
    const object = given === undefined ? anyJson : valuesOf(given, schemas);
    const body = fc.oneof(
      {
        arbitrary: (SLOW.has(operation.operationId) ? anyJson : object).map((value) => JSON.stringify(value)),
        weight: 12,
      },
      { arbitrary: fc.constant(undefined), weight: given === undefined ? 12 : 1 },
      { arbitrary: fc.string({ unit: "binary", maxLength: 60 }), weight: 1 },
      { arbitrary: fc.integer({ min: 1, max: 20_000 }).map((depth) => "[".repeat(depth)), weight: 1 },
    );
    return fc.tuple(values, body, headersOf(verb)).map(([value, text, headers]): Asked => {
      const named = value as Record<string, unknown>;
      const query = new URLSearchParams();
      for (const { name } of parameters.filter((each) => each.in === "query")) {
        const one = named[name];
        for (const each of Array.isArray(one) ? one : one === undefined ? [] : [one]) query.append(name, String(each));
      }
      const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
        encodeURIComponent(wellFormed(String(named[name]))),
      );
      const search = query.size === 0 ? "" : `?${wellFormed(query.toString())}`;
      return { verb, path: filled + search, operation, headers, body: verb === "GET" ? undefined : text };
    });
  });
  return fc.oneof(...kinds);
}

function headersOf(verb: string): fc.Arbitrary<Record<string, string>> {
  const type =
    verb === "GET"
      ? fc.constant({})
      : fc.oneof(
          { arbitrary: fc.constant({ "content-type": "application/json" }), weight: 9 },
          { arbitrary: fc.constant({ "content-type": "text/plain" }), weight: 1 },
        );
  const accept = fc.constantFrom(
    {},
    {},
    { accept: "application/x-ndjson" },
    { accept: "text/event-stream" },
    { accept: "\u007f*/*".slice(1) },
  );
  return fc.tuple(type, accept).map((parts) => Object.assign({}, ...parts) as Record<string, string>);
}

function wellFormed(text: string): string {
  return (
    (text as unknown as { toWellFormed?: () => string }).toWellFormed?.() ?? text.replaceAll(/[\ud800-\udfff]/g, "?")
  );
}

/** The status and, unless it is a stream that goes on, the text. */
async function send(
  port: number,
  token: string,
  { verb, path, headers, body }: Asked,
): Promise<{ status: number; type: string; text: string }> {
  const asked = request({
    host: "127.0.0.1",
    port,
    method: verb,
    path,
    agent: false,
    headers: { ...headers, authorization: `Bearer ${token}` },
  });
  asked.on("error", () => {});
  asked.end(body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const type = String(response.headers["content-type"]);
  const goesOn = response.statusCode === 200 && type !== "application/json";
  let text = "";
  if (goesOn) response.destroy();
  else for await (const piece of response.setEncoding("utf8") as AsyncIterable<string>) text += piece;
  return { status: response.statusCode ?? 0, type, text };
}

test("any request for anything in the document is answered as the document says, and harms nothing", async () => {
  const home = new TestHome(undefined);
  const gateway = await ApiGateway.open(home);
  const port = gateway.test.gateway.httpAddress?.port as number;
  const runs = Number(process.env["USMP_FUZZ_INPUTS"] ?? 3_000);
  const tokens: string[] = [];
  for (let index = 0; index < runs / 200 + 1; index++) {
    tokens.push((await gateway.test.control.call("token.add", { name: `fuzz ${index}`, role: "admin" })).token);
  }
  const statuses = new Map<number, number>();
  let count = 0;
  try {
    await fc.assert(
      fc.asyncProperty(requests(), async (asked) => {
        const { status, type, text } = await send(
          port,
          tokens[Math.floor(count++ / 200) % tokens.length] as string,
          asked,
        );
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        expect(Object.keys(asked.operation.responses)).toContain(String(status));
        // A method whose owner has not written it yet is 501; nothing else may be.
        const failed =
          status === 500 || (status === 501 && !text.includes(`does not know ${asked.operation.operationId}"`));
        expect(failed, `${asked.verb} ${asked.path} ${asked.body}: ${text}`).toBe(false);
        if (type !== "application/json") return;
        const answer = JSON.parse(text) as { error?: object; items?: unknown[] };
        if (status !== 200) {
          expect(Object.keys(answer.error ?? {})).toEqual(["code", "message"]);
          return;
        }
        const route = ROUTES[asked.operation.operationId] as Route;
        if (route.result !== undefined) route.result.parse(answer);
        else for (const item of answer.items ?? []) route.item?.parse(item);
      }),
      { numRuns: runs, seed: runSeed(), endOnFailure: true },
    );
    expect((await gateway.ask("GET", "/v1/status")).status).toBe(200);
    expect(await gateway.test.control.call("audit.verify", {})).toMatchObject({ ok: true });
    expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 400, 404, 415]));
  } finally {
    await gateway.test.gateway.close();
    await home.remove();
  }
});
