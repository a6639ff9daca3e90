import type { ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import type { HttpProblem } from "../problem.ts";

/** Where the items of a stream go: one viewer. Nothing here throws or rejects: a viewer that is gone takes everything. */
export interface Outlet {
  /** Undefined: there is room for more. A promise: resolves when there is, or when the viewer is gone. */
  item(json: string): Promise<void> | undefined;
  /** Tells a viewer, and whatever is in between, that the stream lives. */
  beat(): void;
  end(): void;
  fail(problem: HttpProblem): void;
  /** At once: what the viewer has not taken is lost. */
  destroy(): void;
}

export type LineFormat = "ndjson" | "sse";

const LINES = {
  ndjson: {
    item: (json: string) => `{"item":${json}}\n`,
    beat: "\n",
    end: '{"end":true}\n',
    error: (json: string) => `{"error":${json}}\n`,
  },
  // "data:" takes one line; JSON has no raw line ends (HTML standard, server-sent events).
  sse: {
    item: (json: string) => `data: ${json}\n\n`,
    beat: ":\n\n",
    end: "event: end\ndata: {}\n\n",
    error: (json: string) => `event: failed\ndata: ${json}\n\n`,
  },
} as const;

/** A response that goes on: lines of JSON, or server-sent events. */
export class ResponseOutlet implements Outlet {
  readonly #response: ServerResponse;
  readonly #lines: (typeof LINES)[LineFormat];

  constructor(response: ServerResponse, format: LineFormat) {
    this.#response = response;
    this.#lines = LINES[format];
  }

  item(json: string): Promise<void> | undefined {
    if (this.#response.write(this.#lines.item(json)) || this.#response.destroyed) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        this.#response.off("drain", done).off("close", done);
        resolve();
      };
      this.#response.on("drain", done).on("close", done);
    });
  }

  beat(): void {
    if (!this.#response.writableNeedDrain) this.#response.write(this.#lines.beat);
  }

  end(): void {
    this.#response.end(this.#lines.end);
  }

  fail(problem: HttpProblem): void {
    this.#response.end(this.#lines.error(errorJson(problem)));
  }

  destroy(): void {
    this.#response.destroy();
  }
}

/** What may wait in a WebSocket's memory before it is waited for. */
const ROOM = 65_536;
/** Close codes of RFC 6455 section 7.4.1 and the registry behind it. */
const NORMAL = 1000;
const INTERNAL = 1011;
const POLICY = 1008;

export class SocketOutlet implements Outlet {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  item(json: string): Promise<void> | undefined {
    const text = `{"item":${json}}`;
    if (this.#socket.bufferedAmount < ROOM) {
      this.#socket.send(text, () => {});
      return undefined;
    }
    // Called when the kernel has taken it, or with an error when the viewer is gone.
    return new Promise((resolve) => this.#socket.send(text, () => resolve()));
  }

  beat(): void {
    if (this.#socket.bufferedAmount < ROOM) this.#socket.ping(undefined, undefined, () => {});
  }

  end(): void {
    this.#socket.send('{"end":true}', () => this.#socket.close(NORMAL));
  }

  fail(problem: HttpProblem): void {
    this.#socket.send(`{"error":${errorJson(problem)}}`, () =>
      this.#socket.close(problem.status === 500 ? INTERNAL : POLICY),
    );
  }

  destroy(): void {
    this.#socket.terminate();
  }
}

export function errorJson({ code, message }: HttpProblem): string {
  return JSON.stringify({ code, message });
}
