import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import type { HttpProblem } from "../problem.ts";
import { errorJson } from "./outlet.ts";

/** What a client may send: control frames and little else; nothing of it means anything. */
const LONGEST_FRAME = 1_024;
const ROOM = 65_536;
const SUBPROTOCOL = "usmp.v1";
/** A page cannot set headers of a WebSocket: its token comes as a second subprotocol. */
const TOKEN_SUBPROTOCOL = /^usmp\.token\.(\S{1,200})$/;

/** Opens WebSockets on upgrades that were admitted. */
export class Upgrades {
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
  }

  static async load(): Promise<Upgrades> {
    const { WebSocketServer } = await import("ws");
    return new Upgrades(
      new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload: LONGEST_FRAME,
        // By hand: who sends pings and reads no pongs would fill our memory.
        autoPong: false,
        // The token's own subprotocol is never echoed.
        handleProtocols: (protocols) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
      }),
    );
  }

  /** Resolves with the open socket; with undefined when it is no proper handshake, which was answered. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket | undefined> {
    return new Promise((resolve) => {
      socket.once("close", () => resolve(undefined));
      this.#server.handleUpgrade(request, socket, head, (opened) => {
        opened.on("error", () => {});
        opened.on("ping", () => {
          if (opened.bufferedAmount < ROOM) opened.pong(undefined, undefined, () => {});
        });
        resolve(opened);
      });
    });
  }
}

function subprotocolsOf({ headers }: IncomingMessage): readonly string[] {
  return (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
}

/** The token that a page gives. */
export function subprotocolToken(request: IncomingMessage): string | undefined {
  return subprotocolsOf(request)
    .map((name) => TOKEN_SUBPROTOCOL.exec(name)?.[1])
    .find((text) => text !== undefined);
}

export function isWebSocket({ headers, method }: IncomingMessage): boolean {
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
}

/** Answers an upgrade that comes to nothing, as HTTP, and ends the connection. */
export function refuseUpgrade(socket: Duplex, problem: HttpProblem, headers: Readonly<Record<string, string>>): void {
  const body = `{"error":${errorJson(problem)}}\n`;
  const lines = Object.entries({
    ...headers,
    ...problem.headers,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
}
