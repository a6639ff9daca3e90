import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { addMs } from "@usmp/protocol";
import type { Clock } from "usmp";
import type { ControlHandlers } from "../control/server.ts";
import { GatewayError } from "../errors.ts";
import type { TokenStore } from "../registry/token-store.ts";
import type { WallClock } from "../time/wall-clock.ts";
import { checkSettings } from "./admission.ts";
import { answerHeaders } from "./answer-headers.ts";
import { Authentication } from "./authentication.ts";
import { Connections } from "./connections.ts";
import { Exchange } from "./exchange.ts";
import type { ExtraRoute } from "./extra-route.ts";
import type { HttpSettings } from "./http-settings.ts";
import { LIVE_LIMITS, type LiveCounts, type LiveLimits, LiveStreams } from "./live/live-streams.ts";
import { refuseUpgrade, Upgrades } from "./live/upgrade.ts";
import { problemOf } from "./problem.ts";
import { Router } from "./router.ts";
import { TlsFiles } from "./tls-files.ts";

export interface HttpServerParts {
  readonly settings: HttpSettings;
  readonly handlers: ControlHandlers;
  readonly tokens: TokenStore;
  readonly clock: Clock;
  readonly wallClock: WallClock;
  readonly version: string;
  /** /metrics and the like. */
  readonly extraRoutes: readonly ExtraRoute[];
  /** Where refusals go that the audit shall know. */
  readonly appendRefusals: (rows: ReturnType<Authentication["takeMinutes"]>) => Promise<void>;
  readonly limits?: Partial<HttpLimits>;
}

/** Where to reach it. */
export interface HttpAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface HttpLimits extends LiveLimits {
  readonly mostConnections: number;
  /** Until the headers are there, and until the whole request is. */
  readonly headersMs: number;
  readonly requestMs: number;
}

const LIMITS: HttpLimits = { ...LIVE_LIMITS, mostConnections: 2_048, headersMs: 10_000, requestMs: 20_000 };
const KEEP_ALIVE_MS = 10_000;
const HEADER_BYTES = 8_192;
const HOUSEKEEPING_MS = 30_000;
/** How often Node looks for connections that exceed the two limits. */
const LOOK_EVERY_MS = 1_000;

/** The HTTP API of a gateway. */
export class HttpServer {
  readonly #parts: HttpServerParts;
  readonly #server: Server | TlsServer;
  readonly #tls: TlsFiles | undefined;
  readonly #upgrades: Upgrades;
  readonly #connections: Connections;
  readonly #live: LiveStreams;
  readonly #authentication: Authentication;
  readonly #router: Router = new Router();
  #cancelHousekeeping: (() => void) | undefined;
  #closed = false;

  private constructor(parts: HttpServerParts, upgrades: Upgrades) {
    const { settings, tokens, clock, wallClock } = parts;
    const limits = { ...LIMITS, ...parts.limits };
    this.#parts = parts;
    this.#upgrades = upgrades;
    this.#connections = new Connections(limits.mostConnections);
    this.#live = new LiveStreams(tokens, clock, limits);
    this.#authentication = new Authentication(
      tokens,
      () => clock.now(),
      () => wallClock.now(),
    );
    this.#tls = settings.tls === undefined ? undefined : new TlsFiles(settings.tls);
    const options: ServerOptions = {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: LOOK_EVERY_MS,
      maxHeaderSize: HEADER_BYTES,
      insecureHTTPParser: false,
    };
    this.#server =
      this.#tls === undefined
        ? createServer(options)
        : createTlsServer({ ...options, ...this.#tls.read(), handshakeTimeout: limits.headersMs });
    this.#server
      .on("connection", (socket: Socket) => this.#connections.add(socket))
      .on("request", (request, response) => void this.#answer(request, response))
      .on("upgrade", (request, socket, head) => void this.#upgrade(request, socket, head))
      // A client that waits with its body until it hears that it may send it: what is wrong with the head is said first.
      .on("checkContinue", (request, response) => void this.#answer(request, response, true))
      .on("clientError", (error, socket) => refuseBytes(error, socket));
  }

  /** Throws GatewayError "usage" for settings that may not be, also when the place is taken. */
  static async open(parts: HttpServerParts): Promise<HttpServer> {
    checkSettings(parts.settings);
    const server = new HttpServer(parts, await Upgrades.load());
    await server.#listen();
    server.#keepHouse();
    return server;
  }

  get address(): HttpAddress {
    const { address: host, port } = this.#server.address() as AddressInfo;
    return { host, port, tls: this.#tls !== undefined };
  }

  /** For metrics. */
  get counts(): LiveCounts & { readonly connections: number; readonly evicted: number } {
    return { ...this.#live.counts, connections: this.#connections.size, evicted: this.#connections.evicted };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelHousekeeping?.();
    const closed = this.#server.listening ? once(this.#server, "close") : undefined;
    this.#server.close();
    this.#live.close();
    this.#connections.close();
    await closed;
    await this.#writeRefusals(true);
    await this.#parts.tokens.flushUse().catch(() => {});
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#parts.settings;
    this.#server.listen({ host, port });
    try {
      await once(this.#server, "listening");
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new GatewayError(
        "usage",
        `http ${host}:${port}: cannot listen there (${code ?? message}); --http HOST:PORT chooses another place`,
        { cause: error },
      );
    }
    this.#server.on("error", () => {}); // EMFILE and the like: those that are there live on
  }

  /** Never rejects. */
  async #answer(request: IncomingMessage, response: ServerResponse, asksToGoOn = false): Promise<void> {
    const exchange = this.#exchange(request, asksToGoOn ? () => response.writeContinue() : undefined);
    response.on("error", () => {});
    try {
      await exchange.answer(response);
    } catch (error) {
      exchange.refuse(response, problemOf(error));
    }
  }

  /** Never rejects. */
  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => {});
    const exchange = this.#exchange(request);
    try {
      await exchange.upgrade(socket, head);
    } catch (error) {
      refuseUpgrade(socket, problemOf(error), answerHeaders(request, "none", undefined));
    }
  }

  #exchange(request: IncomingMessage, goOn?: () => void): Exchange {
    const { settings, handlers, version, extraRoutes } = this.#parts;
    return new Exchange(request, {
      settings,
      handlers,
      version,
      extraRoutes,
      router: this.#router,
      authentication: this.#authentication,
      live: this.#live,
      upgrades: this.#upgrades,
      goOn,
      noteProven: () => this.#connections.noteProven(request.socket),
    });
  }

  #keepHouse(): void {
    const { clock, tokens } = this.#parts;
    this.#cancelHousekeeping = clock.schedule(addMs(clock.now(), HOUSEKEEPING_MS), () => {
      const context = this.#tls?.readIfChanged();
      if (context !== undefined) (this.#server as TlsServer).setSecureContext(context);
      // What the database does not take now waits for the next time.
      void Promise.all([this.#writeRefusals(false), tokens.flushUse().catch(() => {})]).then(() => {
        if (!this.#closed) this.#keepHouse();
      });
    });
  }

  async #writeRefusals(all: boolean): Promise<void> {
    const rows = this.#authentication.takeMinutes(all);
    await this.#parts.appendRefusals(rows).catch(() => this.#authentication.giveBack(rows));
  }
}

/** Bytes that are no request, or one that takes too long. */
function refuseBytes({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable) return void socket.destroy();
  const status =
    code === "HPE_HEADER_OVERFLOW"
      ? "431 Request Header Fields Too Large"
      : code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, () => socket.destroy());
}
