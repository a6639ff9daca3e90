import { connect, type ListenOptions, listen, type Refusal, type Server, type Session } from "usmp";
import { onTestFinished } from "vitest";
import type { ConnectOptions, Peer, TransportName } from "../../src/api.ts";
import { TEST_PSK } from "./test-key.ts";

export const LOOPBACK = "127.0.0.1";
export { TEST_PSK };

export const OTHER_TEST_PSK: Uint8Array = new Uint8Array(32).fill(0xa5);
export const DEVICE_ID = "d0:d1:d2:d3:d4:d5";
export const TRANSPORTS: readonly TransportName[] = ["tcp", "udp"];

/** A server on free loopback ports of both transports, and what it told. */
export class LoopbackServer {
  readonly server: Server;
  readonly refusals: Refusal[];
  readonly #sessions: AsyncIterator<Session>;

  constructor(server: Server, refusals: Refusal[]) {
    this.server = server;
    this.refusals = refusals;
    this.#sessions = server[Symbol.asyncIterator]();
  }

  /** Where one transport listens. */
  address(transport: TransportName): Peer {
    const address = this.server.addresses.find((each) => each.transport === transport);
    if (address === undefined) throw new Error(`this server does not listen on ${transport}`);
    return address;
  }

  /** The next session that was established. */
  async accept(): Promise<Session> {
    const { done, value } = await this.#sessions.next();
    if (done) throw new Error("the server was closed");
    return value;
  }
}

/** Listens; the end of the test closes it, without waiting for BYEs that nobody may be there to acknowledge. */
export async function serve(options: Partial<ListenOptions> = {}): Promise<LoopbackServer> {
  const refusals: Refusal[] = [];
  const server = await listen({
    tcp: `${LOOPBACK}:0`,
    udp: `${LOOPBACK}:0`,
    psk: TEST_PSK,
    onRefused: (refusal) => refusals.push(refusal),
    ...options,
  });
  onTestFinished(() => {
    for (const session of server.sessions) session.abort();
    return server.close();
  });
  return new LoopbackServer(server, refusals);
}

/** Connects; the end of the test aborts it. */
export async function open(
  to: { readonly host: string; readonly port: number },
  options: Partial<ConnectOptions> = {},
): Promise<Session> {
  const session = await connect({ psk: TEST_PSK, deviceId: DEVICE_ID, ...options, host: to.host, port: to.port });
  onTestFinished(() => session.abort());
  return session;
}

export interface Pair {
  readonly client: Session;
  readonly server: Session;
  readonly listening: LoopbackServer;
}

/** Both ends of one session. */
export async function pair(
  transport: TransportName,
  options: { readonly client?: Partial<ConnectOptions>; readonly server?: Partial<ListenOptions> } = {},
): Promise<Pair> {
  const listening = await serve(options.server);
  const client = await open(listening.address(transport), { transport, ...options.client });
  return { client, server: await listening.accept(), listening };
}

/** Shows that a session works in both directions. */
export async function expectEcho(a: Session, b: Session, text = "still here"): Promise<void> {
  await a.send(`${text}, a to b`);
  await b.send(`${text}, b to a`);
  const [atB, atA] = await Promise.all([b.receive(), a.receive()]);
  if (textOf(atB) !== `${text}, a to b` || textOf(atA) !== `${text}, b to a`) {
    throw new Error(`expected the echo of "${text}", got "${textOf(atB)}" and "${textOf(atA)}"`);
  }
}

export function textOf(message: Uint8Array | undefined): string | undefined {
  return message === undefined ? undefined : Buffer.from(message).toString();
}

/** The next `count` messages as text. */
export async function receiveTexts(session: Session, count: number): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  while (texts.length < count) texts.push(textOf(await session.receive()));
  return texts;
}

/** `length` bytes that show where they come from when some are lost or swapped. */
export function patterned(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
}

/** Sends what nobody may acknowledge before the end of the test. */
export function sendUnwatched(session: Session, message: Uint8Array | string): void {
  session.send(message).catch(() => {});
}
