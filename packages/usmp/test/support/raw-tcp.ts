import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { FrameCutter } from "@usmp/testkit";
import type { Session } from "usmp";
import { onTestFinished } from "vitest";
import { RawClient, RawServer, type RawSession } from "../../../protocol/test/support/raw-peer.ts";
import { LOOPBACK, type LoopbackServer, open } from "./loopback.ts";

/** A TCP connection in an attacker's hands: any bytes out, whole frames in. */
export class RawTcp {
  /** Resolves when the other side has ended or reset the connection. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #frames: ReadableStreamDefaultReader<Uint8Array>;

  constructor(socket: Socket) {
    this.#socket = socket;
    const cutter = new FrameCutter();
    const frames = new ReadableStream<Uint8Array>({
      start(controller) {
        socket.on("data", (chunk: Uint8Array) => {
          // Copies, and no Buffers, whose slice() would be a view.
          for (const frame of cutter.push(chunk)) controller.enqueue(Uint8Array.from(frame));
        });
        socket.once("close", () => controller.close());
      },
    });
    this.#frames = frames.getReader();
    this.ended = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
    socket.on("error", () => {}).on("end", () => socket.destroy());
    onTestFinished(() => void socket.destroy());
  }

  static async connect(to: { readonly host: string; readonly port: number }): Promise<RawTcp> {
    const socket = createConnection({ host: to.host, port: to.port, noDelay: true, allowHalfOpen: true });
    await once(socket, "connect");
    return new RawTcp(socket);
  }

  /** Sends everything in one write, which on loopback is one segment. Resolves when the kernel has taken it. */
  write(...pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(Buffer.concat(pieces), () => resolve());
    });
  }

  /** The next frame; undefined when the other side has closed instead. */
  async frame(): Promise<Uint8Array | undefined> {
    return (await this.#frames.read()).value;
  }

  /** The next frame, which must come. */
  async expectFrame(): Promise<Uint8Array> {
    const frame = await this.frame();
    if (frame === undefined) throw new Error("the other side closed the connection instead of sending a frame");
    return frame;
  }

  /** Stops reading: the kernel's buffers fill up. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends our side in order. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** An established TCP session whose one end is ours and whose other end is an attacker with the keys. */
export interface RawTcpMeeting {
  readonly ours: Session;
  readonly raw: RawTcp;
  readonly keys: RawSession;
}

/** The attacker connects as a client and knows the PSK. */
export async function rawTcpClient(listening: LoopbackServer, client = new RawClient()): Promise<RawTcpMeeting> {
  const raw = await RawTcp.connect(listening.address("tcp"));
  await raw.write(client.hello());
  await raw.write(client.answer(await raw.expectFrame()));
  const keys = client.finish(await raw.expectFrame());
  return { ours: await listening.accept(), raw, keys };
}

/** Our client connects to an attacker who knows the PSK. */
export async function rawTcpServer(options: Parameters<typeof open>[1] = {}): Promise<RawTcpMeeting> {
  const { address, accept } = await listenRaw();
  const connecting = open(address, options);
  const server = new RawServer();
  const raw = await accept();
  await raw.write(server.challenge(await raw.expectFrame()));
  if (!server.accepts(await raw.expectFrame())) throw new Error("our client's proof is wrong");
  await raw.write(server.sessionOk());
  return { ours: await connecting, raw, keys: server.session() };
}

/** A bare TCP listener for one connection of our client. */
export async function listenRaw(): Promise<{
  readonly address: { readonly host: string; readonly port: number };
  readonly accept: () => Promise<RawTcp>;
}> {
  const server = createServer({ noDelay: true, allowHalfOpen: true });
  const accepted = once(server, "connection") as Promise<[Socket]>;
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  return { address: { host: LOOPBACK, port }, accept: async () => new RawTcp((await accepted)[0]) };
}
