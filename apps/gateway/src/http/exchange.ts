import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { ControlHandlers } from "../control/server.ts";
import { suffices, type TokenRecord } from "../registry/token-store.ts";
import { admit } from "./admission.ts";
import { answerHeaders, preflightHeaders } from "./answer-headers.ts";
import { type Authentication, actorOf, bearerOf } from "./authentication.ts";
import type { ExtraRoute } from "./extra-route.ts";
import type { HttpSettings } from "./http-settings.ts";
import { collectAll, collectPage, pagedParams } from "./lists.ts";
import type { LiveStreams, Place } from "./live/live-streams.ts";
import { errorJson, type LineFormat, ResponseOutlet, SocketOutlet } from "./live/outlet.ts";
import { isWebSocket, subprotocolToken, type Upgrades } from "./live/upgrade.ts";
import { openApiText } from "./openapi.ts";
import { badRequest, HttpProblem, problemOf, quoted } from "./problem.ts";
import { hasBody, type Page, readParams } from "./request-params.ts";
import type { Found, Router } from "./router.ts";

export interface ExchangeParts {
  readonly settings: HttpSettings;
  readonly handlers: ControlHandlers;
  readonly version: string;
  readonly extraRoutes: readonly ExtraRoute[];
  readonly router: Router;
  readonly authentication: Authentication;
  readonly live: LiveStreams;
  readonly upgrades: Upgrades;
  readonly noteProven: () => void;
  /** The client sends its body once this was called. */
  readonly goOn: (() => void) | undefined;
}

/** A method that was asked for by somebody who may. */
interface Asked {
  readonly found: Found;
  readonly token: TokenRecord;
  readonly params: unknown;
  readonly page: Page;
}

/** How long a stream may take for its first item, or its first error, before the answer begins without. */
const FIRST_ITEM_MS = 100;

/** One request and its answer, from the host's name to the last byte. */
export class Exchange {
  readonly #request: IncomingMessage;
  readonly #parts: ExchangeParts;
  readonly #path: string;
  readonly #query: string;
  #origin: "none" | "allowed" = "none";
  /** Set once there is a good token. */
  #version: string | undefined;

  constructor(request: IncomingMessage, parts: ExchangeParts) {
    this.#request = request;
    this.#parts = parts;
    const url = request.url ?? "";
    const mark = url.indexOf("?");
    this.#path = mark === -1 ? url : url.slice(0, mark);
    this.#query = mark === -1 ? "" : url.slice(mark + 1);
  }

  /** Throws what went wrong before the answer began. */
  async answer(response: ServerResponse): Promise<void> {
    this.#origin = admit(this.#request, this.#parts.settings);
    if (this.#request.method === "OPTIONS") return this.#preflight(response);
    if (this.#path === "/openapi.json") return this.#send(response, 200, await openApiText());
    const extra = this.#parts.extraRoutes.find(({ path }) => path === this.#path);
    if (extra !== undefined) return this.#answerExtra(extra, response);
    const asked = await this.#ask(bearerOf(this.#request));
    const abort = new AbortController();
    response.on("close", () => abort.abort());
    const given = this.#call(asked, abort.signal);
    if (given instanceof Promise) {
      const result: unknown = await given;
      return this.#send(response, 200, `${JSON.stringify(result ?? {})}\n`);
    }
    return this.#answerItems(asked, given, response, abort);
  }

  /** Turns a live route into a WebSocket. Throws what went wrong before that. */
  async upgrade(socket: Duplex, head: Buffer): Promise<void> {
    this.#origin = admit(this.#request, this.#parts.settings);
    if (!isWebSocket(this.#request)) throw badRequest("only WebSockets are upgraded to");
    const bearer = bearerOf(this.#request);
    // No page can set this header on a WebSocket, so whoever has it and no origin is no page.
    if (this.#origin === "none" && bearer === undefined) {
      throw new HttpProblem(403, "forbidden", "a WebSocket without an origin gives its token as Authorization: Bearer");
    }
    const asked = await this.#ask(bearer ?? subprotocolToken(this.#request));
    if (!isLive(asked)) throw badRequest("this is no live stream: ask for it without a WebSocket");
    const place = this.#parts.live.reserve(asked.token);
    try {
      const opened = await this.#parts.upgrades.accept(this.#request, socket, head);
      if (opened !== undefined) await this.#serveSocket(asked, opened, place);
    } finally {
      this.#parts.live.release(place);
    }
  }

  async #serveSocket(asked: Asked, opened: WebSocket, place: Place): Promise<void> {
    const abort = new AbortController();
    opened.on("close", () => abort.abort());
    const outlet = new SocketOutlet(opened);
    try {
      const items = this.#call(asked, abort.signal) as AsyncIterable<unknown>;
      await this.#parts.live.serve(items, outlet, place, abort);
    } catch (error) {
      outlet.fail(problemOf(error));
    }
  }

  /** An answer that says what was wrong. The rest of a body is not waited for. */
  refuse(response: ServerResponse, problem: HttpProblem): void {
    if (response.headersSent) return void response.destroy();
    // A guess costs a connection.
    const last = problem.status === 401 || (hasBody(this.#request) && !this.#request.readableEnded);
    this.#send(response, problem.status, `{"error":${errorJson(problem)}}\n`, {
      ...problem.headers,
      ...(last ? { connection: "close" } : {}),
    });
  }

  #preflight(response: ServerResponse): void {
    if (this.#origin !== "allowed") throw new HttpProblem(405, "usage", "OPTIONS asks on behalf of a page's origin");
    response
      .writeHead(204, { ...answerHeaders(this.#request, this.#origin, undefined), ...preflightHeaders(this.#request) })
      .end();
  }

  async #answerExtra({ role, answer }: ExtraRoute, response: ServerResponse): Promise<void> {
    const { method } = this.#request;
    if (method !== "GET" && method !== "HEAD") throw notAllowed(["GET", "HEAD"]);
    const bearer = bearerOf(this.#request);
    const free = role === "anyone" && bearer === undefined;
    if (free) this.#parts.authentication.admitAnyone(this.#request);
    const token = free ? undefined : this.#prove(bearer);
    if (role !== "anyone" && token !== undefined) this.#demand(token, role);
    const given = await answer(
      new Request(new URL(this.#path + (this.#query && `?${this.#query}`), "http://gateway"), { method }),
      token?.role,
    );
    const body = Buffer.from(await given.arrayBuffer());
    const headers = {
      ...answerHeaders(this.#request, this.#origin, this.#version),
      ...Object.fromEntries(given.headers),
    };
    response.writeHead(given.status, { ...headers, "content-length": String(body.length) });
    response.end(method === "HEAD" ? undefined : body);
  }

  /** Who asks for what: token first, so that without one every path looks alike. */
  async #ask(tokenText: string | undefined): Promise<Asked> {
    const token = this.#prove(tokenText);
    const found = this.#parts.router.find(this.#request.method ?? "", this.#path);
    if ("allowed" in found) {
      if (found.allowed.length > 0) throw notAllowed(found.allowed);
      throw new HttpProblem(
        404,
        "usage",
        `there is nothing at ${quoted(this.#path)}; GET /openapi.json lists what there is`,
      );
    }
    this.#demand(token, found.route.role);
    this.#parts.goOn?.();
    const { params, page } = await readParams(this.#request, found.route, found.kinds, {
      path: found.path,
      query: this.#query,
    });
    const narrowed = found.route.narrow?.(params as never, token.role) ?? params;
    return { found, token, params: narrowed, page };
  }

  #prove(tokenText: string | undefined): TokenRecord {
    const token = this.#parts.authentication.prove(this.#request, tokenText);
    this.#parts.noteProven();
    this.#version = this.#parts.version;
    return token;
  }

  #demand(token: TokenRecord, role: TokenRecord["role"]): void {
    if (suffices(token.role, role)) return;
    this.#parts.authentication.note(this.#request, "api:role");
    throw new HttpProblem(403, "forbidden", `this needs a token of role ${role}; this one's is ${token.role}`);
  }

  #call(asked: Asked, signal: AbortSignal): Promise<unknown> | AsyncIterable<unknown> {
    const { found, token, params, page } = asked;
    const { handlers } = this.#parts;
    const handler = Object.hasOwn(handlers, found.method) ? handlers[found.method] : undefined;
    if (handler === undefined) throw new HttpProblem(501, "control", `this gateway does not know ${found.method}`);
    const whole = isLive(asked) || this.#wants("application/x-ndjson");
    const paged = whole ? params : pagedParams(found.route, params, page);
    return handler(paged, actorOf(token, this.#request), signal);
  }

  async #answerItems(
    asked: Asked,
    items: AsyncIterable<unknown>,
    response: ServerResponse,
    abort: AbortController,
  ): Promise<void> {
    const { route } = asked.found;
    if (isLive(asked)) {
      const format = this.#wants("text/event-stream") ? "sse" : "ndjson";
      return this.#stream(asked, items, response, { format, abort });
    }
    if (route.file && this.#wants("application/octet-stream")) return this.#sendFile(items, response);
    if (this.#wants("application/x-ndjson")) return this.#stream(asked, items, response, { format: "ndjson", abort });
    const list = route.verb === "GET" ? await collectPage(items, route, asked.page) : await collectAll(items);
    this.#send(response, 200, `${JSON.stringify(list)}\n`);
  }

  /** What goes wrong with the first item still has a status of its own. */
  async #stream(
    { token }: Asked,
    items: AsyncIterable<unknown>,
    response: ServerResponse,
    { format, abort }: { readonly format: LineFormat; readonly abort: AbortController },
  ): Promise<void> {
    const { live } = this.#parts;
    const place = live.reserve(token);
    try {
      const begun = await begin(items);
      const type = format === "sse" ? "text/event-stream" : "application/x-ndjson";
      response.writeHead(200, { ...answerHeaders(this.#request, this.#origin, this.#version), "content-type": type });
      response.flushHeaders();
      await live.serve(begun, new ResponseOutlet(response, format), place, abort);
    } finally {
      live.release(place);
    }
  }

  async #sendFile(items: AsyncIterable<unknown>, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const item of items) pieces.push(Buffer.from((item as { data: string }).data, "base64"));
    this.#send(response, 200, Buffer.concat(pieces), { "content-type": "application/octet-stream" });
  }

  #send(
    response: ServerResponse,
    status: number,
    body: string | Uint8Array,
    more: Readonly<Record<string, string>> = {},
  ): void {
    response.writeHead(status, {
      ...answerHeaders(this.#request, this.#origin, this.#version),
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      ...more,
    });
    response.end(body);
  }

  #wants(type: string): boolean {
    return (this.#request.headers.accept ?? "").toLowerCase().includes(type);
  }
}

function isLive({ found, params }: Asked): boolean {
  const { live } = found.route;
  return live === "always" || (live === "follow" && (params as { follow?: boolean }).follow === true);
}

function notAllowed(verbs: readonly string[]): HttpProblem {
  return new HttpProblem(405, "usage", `only ${verbs.join(", ")} here`, { allow: verbs.join(", ") });
}

/** The same items; rejects when the first of them does, if that is soon known. */
async function begin(items: AsyncIterable<unknown>): Promise<AsyncIterable<unknown>> {
  const iterator = items[Symbol.asyncIterator]();
  const first = iterator.next();
  const late = new Promise<void>((resolve) => setTimeout(resolve, FIRST_ITEM_MS));
  await Promise.race([first, late]);
  return {
    [Symbol.asyncIterator]: () => {
      let begun = false;
      return {
        next: () => {
          if (begun) return iterator.next();
          begun = true;
          return first;
        },
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}
