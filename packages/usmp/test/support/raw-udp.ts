import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { encodeUtack, FrameType, type FrameTypeName, frameTypeName, looksLikeUtack } from "@usmp/protocol";
import type { Session } from "usmp";
import { onTestFinished } from "vitest";
import {
  payloadOfBytes,
  RawClient,
  RawServer,
  type RawSession,
  seqOf,
  typeOf,
} from "../../../protocol/test/support/raw-peer.ts";
import { LOOPBACK, type LoopbackServer, open } from "./loopback.ts";

interface Host {
  readonly host: string;
  readonly port: number;
}

/** A UDP socket in an attacker's hands: any datagram out, and all that come kept in order. */
export class RawUdp {
  readonly #socket: Socket;
  readonly #datagrams: ReadableStreamDefaultReader<Uint8Array>;
  /** Where send() sends; a server learns it from the first datagram. */
  #peer: Host | undefined;

  private constructor(socket: Socket, peer: Host | undefined) {
    this.#socket = socket;
    this.#peer = peer;
    const datagrams = new ReadableStream<Uint8Array>({
      start: (controller) => {
        socket.on("message", (data, from) => {
          this.#peer ??= { host: from.address, port: from.port };
          // A copy, and no Buffer, whose slice() would be a view.
          controller.enqueue(Uint8Array.from(data));
        });
        socket.once("close", () => controller.close());
      },
    });
    this.#datagrams = datagrams.getReader();
    onTestFinished(() => this.close());
  }

  static async open(peer?: Host): Promise<RawUdp> {
    const socket = createSocket("udp4");
    socket.bind(0, LOOPBACK);
    await once(socket, "listening");
    return new RawUdp(socket, peer);
  }

  get address(): Host {
    return { host: LOOPBACK, port: this.#socket.address().port };
  }

  /** Who sent the first datagram, or who was to be the peer. */
  get peer(): Host {
    if (this.#peer === undefined) throw new Error("no datagram came yet");
    return this.#peer;
  }

  /** Resolves when the kernel has taken it; on loopback it is then in the receiver's buffer, in order. */
  send(datagram: Uint8Array, to: Host = this.peer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(datagram, to.port, to.host, (error) => (error == null ? resolve() : reject(error)));
    });
  }

  async datagram(): Promise<Uint8Array> {
    const { value } = await this.#datagrams.read();
    if (value === undefined) throw new Error("the socket was closed");
    return value;
  }

  /** The next datagram that is a frame of this type; all others are passed over. */
  async expectFrame(type: FrameTypeName): Promise<Uint8Array> {
    for (;;) {
      const datagram = await this.datagram();
      if (!looksLikeUtack(datagram) && typeOf(datagram) === type) return datagram;
    }
  }

  /** Waits for exactly this datagram; all others are passed over and answered, by what they are. */
  async expectDatagram(wanted: Uint8Array): Promise<readonly string[]> {
    const passed: string[] = [];
    for (;;) {
      const datagram = await this.datagram();
      if (Buffer.compare(datagram, wanted) === 0) return passed;
      passed.push(describeDatagram(datagram));
    }
  }

  close(): void {
    try {
      this.#socket.close();
    } catch {
      // Closed already: the test did it.
    }
  }
}

export function describeDatagram(datagram: Uint8Array): string {
  if (looksLikeUtack(datagram)) return `UTACK of ${frameTypeName(datagram[2] as number)}`;
  return frameTypeName(datagram[3] as number) ?? "junk";
}

/** An established UDP session whose one end is ours and whose other end is an attacker with the keys. */
export interface RawUdpMeeting {
  readonly ours: Session;
  readonly raw: RawUdp;
  readonly keys: RawSession;
}

/** The attacker connects as a client and knows the PSK; SESSION_OK is acknowledged. */
export async function rawUdpClient(listening: LoopbackServer, client = new RawClient()): Promise<RawUdpMeeting> {
  const raw = await RawUdp.open(listening.address("udp"));
  const keys = await shakeHands(raw, client);
  return { ours: await listening.accept(), raw, keys };
}

/** A client's handshake up to the UTACK of SESSION_OK. */
export async function shakeHands(raw: RawUdp, client: RawClient): Promise<RawSession> {
  await raw.send(await cookieHello(raw, client));
  await raw.send(client.answer(await raw.expectFrame("CHALLENGE")));
  const keys = client.finish(await raw.expectFrame("SESSION_OK"));
  await raw.send(encodeUtack(FrameType.SESSION_OK, 0));
  return keys;
}

/** HELLO with the cookie that the server gives for it. */
export async function cookieHello(raw: RawUdp, client: RawClient): Promise<Uint8Array> {
  await raw.send(client.hello());
  const retry = await raw.expectFrame("HELLO_RETRY");
  return client.hello(payloadOfBytes(retry).slice());
}

/** Our client connects to an attacker who knows the PSK and asks for no cookie. */
export async function rawUdpServer(options: Parameters<typeof open>[1] = {}): Promise<RawUdpMeeting> {
  const raw = await RawUdp.open();
  const connecting = open(raw.address, { ...options, transport: "udp" });
  const server = new RawServer();
  await raw.send(server.challenge(await raw.expectFrame("HELLO")));
  const helloAck = await raw.expectFrame("HELLO_ACK");
  if (!server.accepts(helloAck)) throw new Error("our client's proof is wrong");
  await raw.send(encodeUtack(FrameType.HELLO_ACK, seqOf(helloAck)));
  await raw.send(server.sessionOk());
  await raw.expectDatagram(encodeUtack(FrameType.SESSION_OK, 0));
  return { ours: await connecting, raw, keys: server.session() };
}
