import { request as plainRequest, type RequestOptions } from "node:http";
import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { ControlMethod } from "../../src/control/methods.ts";
import type { ControlHandlers } from "../../src/control/server.ts";
import type { ExtraRoute } from "../../src/http/extra-route.ts";
import { type HttpLimits, HttpServer } from "../../src/http/http-server.ts";
import type { HttpSettings } from "../../src/http/http-settings.ts";
import type { Route } from "../../src/http/routes/route.ts";
import { isRoute, ROUTES } from "../../src/http/routes.ts";
import type { Actor } from "../../src/records.ts";
import type { OpenedRegistry } from "../../src/registry/open-registry.ts";
import type { Role } from "../../src/registry/token-store.ts";
import { ADA, TestHome, type TestTime } from "./registries.ts";

export const HTTP: HttpSettings = {
  host: "127.0.0.1",
  port: 0,
  tls: undefined,
  insecure: false,
  allowedHosts: [],
  allowedOrigins: [],
};

/** Every method that is reached over HTTP, with its route. */
export const REACHED: readonly (readonly [ControlMethod, Route])[] = (
  Object.entries(ROUTES) as [ControlMethod, Route][]
).filter(([, route]) => isRoute(route));

const VALUES: Readonly<Record<string, string>> = { id: "02:00:00:00:00:01", message: "1", token: "0123456789ab" };

/** A route's path with good values in it. */
export function pathOf({ path }: Route): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => VALUES[name] ?? "x");
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** The API on a registry of its own, over handlers that the test gives; those that it does not give only note that they were called. */
export class TestApi {
  readonly server: HttpServer;
  readonly opened: OpenedRegistry;
  readonly time: TestTime;
  readonly called: string[] = [];
  readonly actors: unknown[] = [];

  private constructor(opened: OpenedRegistry, time: TestTime, make: (api: TestApi) => HttpServer) {
    this.opened = opened;
    this.time = time;
    this.server = make(this);
  }

  static async open(
    options: {
      settings?: Partial<HttpSettings>;
      handlers?: ControlHandlers;
      limits?: Partial<HttpLimits>;
      extraRoutes?: readonly ExtraRoute[];
    } = {},
  ): Promise<TestApi> {
    const home = new TestHome(undefined);
    const opened = await home.open();
    const noted: { called: string[]; actors: unknown[] } = { called: [], actors: [] };
    const handlers = Object.fromEntries(
      REACHED.map(([method, route]) => [
        method,
        (params: unknown, actor: Actor, signal: AbortSignal) => {
          noted.called.push(method);
          noted.actors.push(actor);
          const given = options.handlers?.[method];
          if (given !== undefined) return given(params, actor, signal);
          return route.result === undefined ? none() : Promise.resolve({});
        },
      ]),
    );
    const server = await HttpServer.open({
      settings: { ...HTTP, ...options.settings },
      handlers,
      tokens: opened.tokens,
      clock: home.time.clock,
      wallClock: opened.wallClock,
      version: "1.2.3",
      extraRoutes: options.extraRoutes ?? [],
      appendRefusals: (rows) => opened.registry.audit.appendRefusals(rows),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    const api = new TestApi(opened, home.time, () => server);
    Object.assign(api, noted);
    onTestFinished(async () => {
      await server.close();
      await home.remove();
    });
    return api;
  }

  get port(): number {
    return this.server.address.port;
  }

  get base(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async token(role: Role, ttlMs?: number): Promise<string> {
    const { text } = await this.opened.tokens.add({ name: `test ${role}`, role, ttlMs }, ADA);
    return text;
  }

  /** A request as it is given; nothing is added but what Node must. */
  ask(
    verb: string,
    path: string,
    { token, headers = {}, body }: { token?: string; headers?: RequestOptions["headers"]; body?: string | Buffer } = {},
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const request = plainRequest({
        host: "127.0.0.1",
        port: this.port,
        method: verb,
        path,
        agent: false,
        headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(headers as object) },
      });
      request.on("error", reject).on("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => {
          text += piece;
        });
        response.on("error", reject).on("end", () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
        });
      });
      request.end(body);
    });
  }

  /** As a client asks for a route: with the content type of its body. */
  json(verb: string, path: string, token: string, body?: unknown): Promise<Reply> {
    if (body === undefined) return this.ask(verb, path, { token });
    return this.ask(verb, path, { token, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  }

  /** A connection that says what it is told. */
  socket(): Socket {
    const socket = connect(this.port, "127.0.0.1");
    socket.on("error", () => {});
    onTestFinished(() => void socket.destroy());
    return socket;
  }
}

async function* none(): AsyncGenerator<never> {}
