import { z } from "zod";
import type { ControlMethod } from "../control/methods.ts";
import { DEFAULT_PAGE_SIZE, LARGEST_PAGE } from "./request-params.ts";
import type { Route } from "./routes/route.ts";
import { isRoute, ROUTES } from "./routes.ts";

type Json = { [name: string]: unknown };

/** The API's own version: it grows with what is added, and a change that breaks clients is a new path prefix. */
const API_VERSION = "1.0";

/** The OpenAPI 3.1 document, made from the routes. */
export function openApi(): Json {
  const components = new Components();
  const paths: Record<string, Json> = {};
  for (const [method, entry] of Object.entries(ROUTES) as [ControlMethod, Route][]) {
    if (!isRoute(entry)) continue;
    const operations = paths[entry.path] ?? {};
    paths[entry.path] = { ...operations, [entry.verb.toLowerCase()]: operation(method, entry, components) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "USMP gateway",
      version: API_VERSION,
      description:
        "Everything that the command line asks a gateway for. Lists are JSON pages; with `Accept: application/x-ndjson` a whole list, one JSON " +
        'object a line: {"item":…}, then {"end":true}. Live streams come as server-sent events, NDJSON, or over a WebSocket.',
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer", description: "usmp token add makes one." } },
      responses: { Problem: { description: "It was not done.", content: json(PROBLEM_REF) } },
      schemas: { Problem: PROBLEM, ...components.schemas },
    },
  };
}

let text: string | undefined;

export async function openApiText(): Promise<string> {
  text ??= `${JSON.stringify(openApi(), undefined, 2)}\n`;
  return text;
}

const PROBLEM: Json = {
  type: "object",
  properties: {
    error: {
      type: "object",
      properties: { code: { type: "string" }, message: { type: "string" } },
      required: ["code", "message"],
      additionalProperties: false,
    },
  },
  required: ["error"],
  additionalProperties: false,
};
const PROBLEM_REF: Json = { $ref: "#/components/schemas/Problem" };
const REFUSALS = ["400", "401", "403", "404", "405", "409", "429", "500", "501", "503"];
const BODY_REFUSALS = ["413", "415"];

/** JSON Schemas by name, shared by all operations. */
class Components {
  readonly schemas: Record<string, unknown> = {};

  of(schema: z.ZodType, io: "input" | "output"): Json {
    const { $schema: _, $defs = {}, ...rest } = z.toJSONSchema(schema, { io, target: "draft-2020-12" }) as Json;
    for (const [name, definition] of Object.entries($defs as Json)) this.schemas[name] = lifted(definition);
    const { id, ...whole } = rest;
    if (typeof id !== "string") return lifted(rest) as Json;
    this.schemas[id] = lifted(whole);
    return { $ref: `#/components/schemas/${id}` };
  }
}

/** References into the document's components; ids of definitions are their names there. */
function lifted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lifted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => {
      if (name === "id" && typeof inner === "string") return [];
      if (name === "$ref") return [[name, String(inner).replace("#/$defs/", "#/components/schemas/")]];
      return [[name, lifted(inner)]];
    }),
  );
}

function operation(method: ControlMethod, route: Route, components: Components): Json {
  const { verb, path, summary, role } = route;
  const { properties = {}, required = [] } = components.of(route.params, "input") as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
  const others = Object.keys(properties).filter((name) => !inPath.includes(name));
  const parameters: Json[] = inPath.map((name) => ({ name, in: "path", required: true, schema: properties[name] }));
  if (verb === "GET") {
    for (const name of others) {
      parameters.push({ name, in: "query", required: required.includes(name), schema: properties[name] });
    }
    if (route.paging !== undefined) parameters.push(...PAGING);
  }
  const body = verb === "GET" || others.length === 0 ? {} : { requestBody: requestBody(properties, required, others) };
  const refusals = verb === "GET" ? REFUSALS : [...REFUSALS, ...BODY_REFUSALS].sort();
  return {
    operationId: method,
    summary,
    description: `Needs a token of role ${role}${role === "admin" ? "" : " or above"}.`,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...body,
    responses: {
      200: { description: "Done.", content: content(route, components) },
      ...Object.fromEntries(refusals.map((status) => [status, { $ref: "#/components/responses/Problem" }])),
    },
  };
}

const PAGING: readonly Json[] = [
  {
    name: "size",
    in: "query",
    required: false,
    description: `Items of a page; ${DEFAULT_PAGE_SIZE}.`,
    schema: { type: "integer", minimum: 1, maximum: LARGEST_PAGE },
  },
  {
    name: "cursor",
    in: "query",
    required: false,
    description: "`next` of the page before.",
    schema: { type: "integer", minimum: 0 },
  },
];

function requestBody(properties: Record<string, Json>, required: readonly string[], names: readonly string[]): Json {
  const needed = names.filter((name) => required.includes(name));
  const schema = {
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, properties[name]])),
    ...(needed.length === 0 ? {} : { required: needed }),
    additionalProperties: false,
  };
  return { required: needed.length > 0, content: json(schema) };
}

function content(route: Route, components: Components): Json {
  if (route.result !== undefined) return json(components.of(route.result, "output"));
  const item = components.of(route.item as z.ZodType, "output");
  const line = {
    oneOf: [
      { type: "object", properties: { item }, required: ["item"] },
      { type: "object", properties: { end: { const: true } }, required: ["end"] },
      PROBLEM_REF,
    ],
  };
  const page = {
    type: "object",
    properties: { items: { type: "array", items: item }, next: { type: ["integer", "null"] } },
    required: ["items", "next"],
    additionalProperties: false,
  };
  return {
    ...(route.live === "always" ? {} : json(page)),
    "application/x-ndjson": { schema: line },
    ...(route.live === undefined ? {} : { "text/event-stream": { schema: item } }),
    ...(route.file === undefined ? {} : { "application/octet-stream": {} }),
  };
}

function json(schema: unknown): Json {
  return { "application/json": { schema } };
}
