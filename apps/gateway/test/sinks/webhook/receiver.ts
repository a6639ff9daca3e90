import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A web server on a free loopback port that keeps what it gets. */
export class Receiver {
  readonly received: Received[] = [];
  readonly port: number;
  /** What it answers: status and headers. */
  answer: (request: Received) => { status: number; headers?: Record<string, string>; body?: string } | undefined =
    () => ({
      status: 204,
    });

  private constructor(port: number) {
    this.port = port;
  }

  /** `tls`: PEM texts. */
  static async start(tls?: { readonly key: string; readonly cert: string }): Promise<Receiver> {
    const holder: { receiver?: Receiver } = {};
    const listener: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { receiver } = holder;
        if (receiver === undefined) return;
        const received = { path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() };
        receiver.received.push(received);
        const answer = receiver.answer(received);
        // Undefined: it never answers.
        if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
      });
    };
    const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    holder.receiver = new Receiver((server.address() as AddressInfo).port);
    return holder.receiver;
  }
}
