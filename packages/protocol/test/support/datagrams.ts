import type { ClientConfig } from "../../src/connection/config.ts";
import type { Datagram, DatagramConnection } from "../../src/connection/datagram.ts";
import { DatagramClient } from "../../src/connection/datagram-client.ts";
import type { DatagramServer } from "../../src/connection/datagram-server.ts";
import { DatagramEndpoint, type EndpointConfig } from "../../src/connection/endpoint.ts";
import type { Address } from "../../src/connection/events.ts";
import type { Side } from "../../src/crypto/provider.ts";
import { Gate } from "../../src/fairness/gate.ts";
import { parseLimits } from "../../src/fairness/limits.ts";
import type { Instant } from "../../src/time.ts";
import { FrameType } from "../../src/wire/frame.ts";
import { encodeUtack, looksLikeUtack } from "../../src/wire/utack.ts";
import { clientConfig, START, serverConfig, testPsk } from "./fixtures.ts";
import { payloadOfBytes, RawClient, RawServer, type RawSession, typeOf } from "./raw-peer.ts";
import { eventsFrom } from "./streams.ts";

export const SERVER_ADDRESS: Address = { key: "192.0.2.1:9000" };
export const CLIENT_ADDRESS: Address = { key: "198.51.100.7:40001" };
export const OTHER_ADDRESS: Address = { key: "198.51.100.8:40002" };

export interface DatagramOverrides {
  readonly client?: Partial<ClientConfig>;
  readonly server?: Partial<EndpointConfig> & { readonly limits?: Parameters<typeof parseLimits>[0] };
  readonly firstSeq?: number;
  readonly now?: Instant;
}

export function newDatagramClient({ client, firstSeq, now = START }: DatagramOverrides = {}): DatagramClient {
  return new DatagramClient(clientConfig(client), { peer: SERVER_ADDRESS, firstSeq }, now);
}

export function newEndpoint({ server = {}, firstSeq, now = START }: DatagramOverrides = {}): DatagramEndpoint {
  const { limits, ...config } = server;
  const gate = new Gate(parseLimits(limits), now);
  return new DatagramEndpoint({ ...serverConfig(), gate, firstSeq, ...config }, now);
}

/** What is ready to leave, UTACKs included. */
export function datagramsFrom(source: { pollTransmit(): Datagram | undefined }): Datagram[] {
  const datagrams: Datagram[] = [];
  for (let next = source.pollTransmit(); next !== undefined; next = source.pollTransmit()) datagrams.push(next);
  return datagrams;
}

/** Frames and UTACKs that are ready to leave, apart. */
export function sent(source: { pollTransmit(): Datagram | undefined }): { frames: Uint8Array[]; utacks: Uint8Array[] } {
  const all = datagramsFrom(source).map(({ data }) => data);
  return { frames: all.filter((data) => !looksLikeUtack(data)), utacks: all.filter(looksLikeUtack) };
}

export function sentTypes(source: { pollTransmit(): Datagram | undefined }): string[] {
  return datagramsFrom(source).map(({ data }) => describe(data));
}

/** "HELLO", or "UTACK of HELLO". */
export function describe(data: Uint8Array): string {
  if (!looksLikeUtack(data)) return typeOf(data);
  const name = Object.entries(FrameType).find(([, code]) => code === data[2])?.[0];
  return `UTACK of ${name}`;
}

/** A machine in an established session with a hand-driven peer; its events and output are drained. */
export interface EstablishedDatagram {
  readonly machine: DatagramConnection;
  readonly raw: RawSession;
  /** Brings the machine a datagram of its peer. */
  give(datagram: Uint8Array, now: Instant, from?: Address): void;
}

export function establishedDatagram(role: Side, overrides: DatagramOverrides = {}): EstablishedDatagram {
  return role === "client" ? establishedDatagramClient(overrides) : establishedDatagramServer(overrides);
}

export interface EstablishedDatagramClient extends EstablishedDatagram {
  readonly machine: DatagramClient;
}

export function establishedDatagramClient(overrides: DatagramOverrides = {}): EstablishedDatagramClient {
  const now = overrides.now ?? START;
  const machine = newDatagramClient(overrides);
  const peer = new RawServer({ psk: overrides.client?.psk ?? testPsk() });
  const [hello] = sent(machine).frames;
  machine.handleDatagram(peer.challenge(hello as Uint8Array), SERVER_ADDRESS, now);
  machine.handleDatagram(peer.sessionOk(), SERVER_ADDRESS, now);
  datagramsFrom(machine);
  eventsFrom(machine);
  const give = (datagram: Uint8Array, at: Instant, from: Address = SERVER_ADDRESS): void =>
    machine.handleDatagram(datagram, from, at);
  return { machine, raw: peer.session(), give };
}

export interface EstablishedDatagramServer extends EstablishedDatagram {
  readonly machine: DatagramServer;
  readonly endpoint: DatagramEndpoint;
  readonly peer: RawClient;
}

export interface ServerOverrides extends DatagramOverrides {
  /** Where the client is. */
  readonly from?: Address;
  readonly endpoint?: DatagramEndpoint;
  readonly peer?: RawClient;
  /** False leaves SESSION_OK without its UTACK. */
  readonly confirm?: boolean;
}

export function establishedDatagramServer(overrides: ServerOverrides = {}): EstablishedDatagramServer {
  const { now = START, from = CLIENT_ADDRESS, peer = new RawClient(), confirm = true } = overrides;
  const endpoint = overrides.endpoint ?? newEndpoint(overrides);
  const { machine, challenge } = challengedServer(endpoint, peer, from, now);
  machine.provideKeys([testPsk()], now);
  endpoint.handleDatagram(peer.answer(challenge), from, now);
  const sessionOk = sent(machine).frames.find((frame) => typeOf(frame) === "SESSION_OK");
  if (sessionOk === undefined) throw new Error("no SESSION_OK came");
  if (confirm) endpoint.handleDatagram(encodeUtack(FrameType.SESSION_OK, 0), from, now);
  eventsFrom(machine);
  const give = (datagram: Uint8Array, at: Instant, where: Address = from): void =>
    void endpoint.handleDatagram(datagram, where, at);
  return { machine, endpoint, peer, raw: peer.finish(sessionOk), give };
}

/** Brings a handshake with an endpoint to the CHALLENGE. */
export function challengedServer(
  endpoint: DatagramEndpoint,
  peer: RawClient,
  from: Address = CLIENT_ADDRESS,
  now: Instant = START,
): { readonly machine: DatagramServer; readonly challenge: Uint8Array; readonly cookieHello: Uint8Array } {
  const cookieHello = peer.hello(cookieFor(endpoint, peer, from, now));
  const machine = endpoint.handleDatagram(cookieHello, from, now).at(-1);
  if (machine === undefined) throw new Error("the cookie was not taken");
  const challenge = sent(machine).frames.find((frame) => typeOf(frame) === "CHALLENGE");
  if (challenge === undefined) throw new Error("no CHALLENGE came");
  return { machine, challenge, cookieHello };
}

/** Asks an endpoint for a cookie. */
export function cookieFor(endpoint: DatagramEndpoint, peer: RawClient, from: Address, now: Instant): Uint8Array {
  endpoint.handleDatagram(peer.hello(), from, now);
  const retry = sent(endpoint).frames.at(-1);
  if (retry === undefined) throw new Error("no HELLO_RETRY came");
  return payloadOfBytes(retry).slice();
}

/** Acknowledges every frame that the machine has ready, and what becomes ready by it; answers them opened. */
export function acknowledgeAll(
  { machine, raw, give }: EstablishedDatagram,
  now: Instant,
): ReturnType<RawSession["open"]>[] {
  const opened: ReturnType<RawSession["open"]>[] = [];
  for (let frames = sent(machine).frames; frames.length > 0; frames = sent(machine).frames) {
    for (const frame of frames) {
      opened.push(raw.open(frame));
      give(raw.utack(frame), now);
    }
  }
  return opened;
}
