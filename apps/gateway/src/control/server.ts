import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { chmodSync, lstatSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { GatewayError } from "../errors.ts";
import type { Actor } from "../records.ts";
import { readLines, writeLine } from "./json-lines.ts";
import { type ControlPaths, controlPaths } from "./socket-path.ts";

/** What answers a method: a value, or the items of a stream. */
export type ControlHandlers = { readonly [method: string]: ControlHandler };
/** `signal` aborts when nobody waits for the answer any more: a stream that waits for something to happen ends then. */
export type ControlHandler = (
  params: unknown,
  actor: Actor,
  signal: AbortSignal,
) => Promise<unknown> | AsyncIterable<unknown>;

/** What the greeting says. */
export interface ProgramFacts {
  readonly version: string;
  readonly dev: boolean;
}

/** Connections at once; the owner's commands need few. */
const MOST_CONNECTIONS = 64;
const GREETING_MS = 5_000;

/** The running gateway's end of the control socket: the socket is in a directory of mode 0700, and who speaks must know the token. */
export class ControlServer {
  readonly #paths: ControlPaths;
  readonly #server: Server;
  readonly #token: Buffer;
  readonly #program: ProgramFacts;
  readonly #handlers: ControlHandlers;
  readonly #connections: Set<Socket> = new Set();

  private constructor(paths: ControlPaths, program: ProgramFacts, handlers: ControlHandlers) {
    this.#paths = paths;
    this.#program = program;
    this.#handlers = handlers;
    this.#token = Buffer.from(randomBytes(32).toString("hex"));
    this.#server = createServer((socket) => void this.#serve(socket));
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** No gateway may be running on the directory: findRunning() says. */
  static async open(dataDirectory: string, program: ProgramFacts, handlers: ControlHandlers): Promise<ControlServer> {
    const server = new ControlServer(controlPaths(dataDirectory), program, handlers);
    await server.#open();
    return server;
  }

  async close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, "close") : undefined;
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await closed;
    rmSync(this.#paths.token, { force: true });
  }

  async #open(): Promise<void> {
    const { socket, socketDirectory, token } = this.#paths;
    if (socketDirectory !== undefined) makeSocketDirectory(socketDirectory);
    rmSync(token, { force: true });
    writeFileSync(token, `${this.#token.toString()}\n`, { mode: 0o600, flag: "wx" });
    if (process.platform !== "win32") rmSync(socket, { force: true });
    this.#server.listen(socket);
    await once(this.#server, "listening");
    if (process.platform !== "win32") chmodSync(socket, 0o600);
  }

  async #serve(socket: Socket): Promise<void> {
    this.#connections.add(socket);
    socket.on("error", () => {}).on("close", () => this.#connections.delete(socket));
    const impatience = setTimeout(() => socket.destroy(), GREETING_MS);
    const streams = new Map<number, AbortController>();
    try {
      let actor: Actor | undefined;
      for await (const line of readLines(socket)) {
        if (actor === undefined) {
          actor = this.#greet(line);
          clearTimeout(impatience);
          await writeLine(socket, { id: 0, result: { ...this.#program, pid: process.pid } });
        } else void this.#answer(socket, line as Request, actor, streams);
      }
    } catch (error) {
      await writeLine(socket, { id: 0, error: describe(error) }).catch(() => {});
    } finally {
      clearTimeout(impatience);
      for (const stream of streams.values()) stream.abort();
      socket.end(() => socket.destroy());
    }
  }

  /** The first line proves that its sender can read the token, and says on whose behalf it speaks. */
  #greet(line: unknown): Actor {
    const { hello, token, user } = (line ?? {}) as { hello?: unknown; token?: unknown; user?: unknown };
    const given = Buffer.from(typeof token === "string" ? token : "");
    if (hello !== 1 || given.length !== this.#token.length || !timingSafeEqual(given, this.#token)) {
      throw new GatewayError("control", "the token is not this gateway's; run as the user who runs the gateway");
    }
    return { who: typeof user === "string" ? user.slice(0, LONGEST_NAME) : "unknown", from: "control socket" };
  }

  /** Never rejects. */
  async #answer(socket: Socket, request: Request, actor: Actor, streams: Map<number, AbortController>): Promise<void> {
    if (typeof request?.cancel === "number") {
      streams.get(request.cancel)?.abort();
      return;
    }
    const { id, method, params } = request ?? {};
    const answer = (body: object): Promise<void> => writeLine(socket, { id, ...body });
    try {
      const handler = Object.hasOwn(this.#handlers, String(method)) ? this.#handlers[String(method)] : undefined;
      if (handler === undefined)
        throw new GatewayError(
          "control",
          `this gateway (version ${this.#program.version}) does not know ${String(method)}`,
        );
      const stream = new AbortController();
      const given = handler(params ?? {}, actor, stream.signal);
      if (given instanceof Promise) return await answer({ result: await given });
      if (typeof id === "number") streams.set(id, stream);
      try {
        for await (const item of given) {
          if (stream.signal.aborted) return;
          await answer({ item });
        }
      } finally {
        if (typeof id === "number") streams.delete(id);
      }
      if (!stream.signal.aborted) await answer({ end: true });
    } catch (error) {
      await answer({ error: describe(error) }).catch(() => {});
    }
  }
}

interface Request {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly cancel?: number;
}

const LONGEST_NAME = 100;

function describe(error: unknown): { code: string; message: string } {
  if (error instanceof GatewayError) return { code: error.code, message: error.message };
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return {
      code: error.code === "invalid-key" || error.code === "weak-key" ? "usage" : "control",
      message: error.message,
    };
  }
  return { code: "control", message: `the gateway failed: ${error instanceof Error ? error.message : String(error)}` };
}

/** In a place that all may write to: it must be ours alone. */
function makeSocketDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(directory);
  if (uid === process.geteuid?.() && (mode & 0o077) === 0) return;
  throw new GatewayError(
    "control",
    `${directory} is not ours alone; remove it, or use a data directory with a shorter path`,
  );
}
