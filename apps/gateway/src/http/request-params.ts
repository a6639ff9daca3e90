import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { badRequest, HttpProblem, quoted } from "./problem.ts";
import type { Route } from "./routes/route.ts";

/** Bytes of a request's body, at most. */
const LONGEST_BODY = 65_536;
/** Objects and lists within each other, at most: no method takes more than four. */
const DEEPEST = 16;
const MOST_FIELDS = 64;

/** The paging of a list, beside the method's own parameters. */
export interface Page {
  readonly size: number;
  readonly cursor: number | undefined;
}

export const DEFAULT_PAGE_SIZE = 100;
export const LARGEST_PAGE = 1_000;

/** The kinds of a route's parameters, for reading them from texts. */
export type ParamKinds = ReadonlyMap<string, "text" | "number" | "boolean" | "list">;

export function paramKinds(route: Route): ParamKinds {
  const { properties = {} } = z.toJSONSchema(route.params, { io: "input" });
  const kinds = Object.entries(properties).map(([name, property]) => {
    const { type } = typeof property === "object" ? property : {};
    if (type === "integer" || type === "number") return [name, "number"] as const;
    if (type === "boolean") return [name, "boolean"] as const;
    return [name, type === "array" ? "list" : "text"] as const;
  });
  return new Map(kinds);
}

/** What was asked for, checked against the route's schema. Throws HttpProblem. */
export async function readParams(
  request: IncomingMessage,
  route: Route,
  kinds: ParamKinds,
  { path, query }: { readonly path: Readonly<Record<string, string>>; readonly query: string },
): Promise<{ readonly params: unknown; readonly page: Page }> {
  const named = Object.entries(path).map(([name, text]) => [name, fromText(name, text, kinds)] as const);
  if (route.verb === "GET") {
    if (hasBody(request)) throw badRequest("a GET has no body");
    const { fields, page } = readQuery(query, kinds, route);
    return { params: check(route, { ...fields, ...Object.fromEntries(named) }), page };
  }
  if (query !== "") throw badRequest("the parameters of this request belong into its body, as JSON");
  const body = hasBody(request) ? await readBody(request) : {};
  for (const [name] of named) {
    if (Object.hasOwn(body, name)) throw badRequest(`${name} stands in the path already; leave it out of the body`);
  }
  return { params: check(route, { ...body, ...Object.fromEntries(named) }), page: { size: 0, cursor: undefined } };
}

function check(route: Route, given: object): unknown {
  const parsed = route.params.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("") ?? "";
  const field = place.replace(/^\./, "").slice(0, 100);
  throw badRequest(`${field === "" ? "" : `${field}: `}${(issue?.message ?? "not as it should be").slice(0, 200)}`);
}

function readQuery(
  query: string,
  kinds: ParamKinds,
  { paging }: Route,
): { readonly fields: Record<string, unknown>; readonly page: Page } {
  const given = new Map<string, string[]>();
  const pairs = [...new URLSearchParams(query)];
  if (pairs.length > MOST_FIELDS) throw badRequest(`more than ${MOST_FIELDS} parameters`);
  for (const [name, value] of pairs) given.set(name, [...(given.get(name) ?? []), value]);
  const once = (name: string): string | undefined => {
    const values = given.get(name);
    if (values !== undefined && values.length > 1) throw badRequest(`${name} is given more than once`);
    return values?.[0];
  };
  let page: Page = { size: DEFAULT_PAGE_SIZE, cursor: undefined };
  if (paging !== undefined) {
    page = {
      size: wholeNumber("size", once("size"), 1, LARGEST_PAGE) ?? DEFAULT_PAGE_SIZE,
      cursor: wholeNumber("cursor", once("cursor"), 0, Number.MAX_SAFE_INTEGER),
    };
    given.delete("size");
    given.delete("cursor");
  }
  const fields = [...given].map(([name, values]) => {
    if (!kinds.has(name)) throw badRequest(`there is no parameter ${quoted(name)} here`);
    return [name, kinds.get(name) === "list" ? values : fromText(name, once(name) as string, kinds)] as const;
  });
  return { fields: Object.fromEntries(fields), page };
}

function wholeNumber(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,16}$/.test(text) && value >= least && value <= most) return value;
  throw badRequest(`${name} ${quoted(text)}: not a whole number between ${least} and ${most}`);
}

function fromText(name: string, text: string, kinds: ParamKinds): unknown {
  switch (kinds.get(name)) {
    case "number":
      return /^-?\d{1,16}$/.test(text) ? Number(text) : text;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    default:
      return text;
  }
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

/** A JSON object. Only application/json: a page can send other types to any host without asking it first. */
async function readBody(request: IncomingMessage): Promise<object> {
  const { "content-type": type = "", "content-encoding": encoding } = request.headers;
  if (!/^application\/json(; *charset=utf-8)?$/i.test(type)) {
    throw badRequest(`content type ${quoted(type)}: only application/json is taken`, 415);
  }
  if (encoding !== undefined && encoding !== "identity") throw badRequest("a body must not be compressed", 415);
  const bytes = await readBytes(request);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("the body is not UTF-8");
  } finally {
    bytes.fill(0); // keys and passphrases travel here
  }
  if (depthOf(text) > DEEPEST) throw badRequest(`the body is nested more than ${DEEPEST} deep`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest("the body is not JSON");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw badRequest("the body is not a JSON object");
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const tooLong = (): HttpProblem =>
    new HttpProblem(413, "usage", `the body has more than ${LONGEST_BODY} bytes; ask in several requests`);
  if (Number(request.headers["content-length"] ?? 0) > LONGEST_BODY) throw tooLong();
  const pieces: Buffer[] = [];
  let length = 0;
  // The iterator must not destroy the connection: the answer still goes out over it.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > LONGEST_BODY) throw tooLong();
    pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  for (const piece of pieces) piece.fill(0);
  return bytes;
}

/** How deep brackets are nested, without building anything. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quote = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (quote) {
      if (character === "\\") index++;
      else if (character === '"') quote = false;
    } else if (character === '"') quote = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
    else if (character === "}" || character === "]") depth--;
  }
  return deepest;
}
