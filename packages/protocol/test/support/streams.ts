import type { ClientConfig, ServerConfig } from "../../src/connection/config.ts";
import type { Connection } from "../../src/connection/connection.ts";
import type { CloseReason, ConnectionEvent } from "../../src/connection/events.ts";
import type { StreamConnection } from "../../src/connection/stream.ts";
import { StreamClient } from "../../src/connection/stream-client.ts";
import { StreamServer } from "../../src/connection/stream-server.ts";
import type { Side } from "../../src/crypto/provider.ts";
import type { Secret } from "../../src/crypto/secret.ts";
import type { Instant } from "../../src/time.ts";
import { readU16 } from "../../src/wire/bytes.ts";
import { FrameSlab } from "../../src/wire/output.ts";
import { clientConfig, START, serverConfig, testPsk } from "./fixtures.ts";
import { RawClient, RawServer, type RawSession } from "./raw-peer.ts";

export interface StreamOverrides {
  readonly client?: Partial<ClientConfig>;
  readonly server?: Partial<ServerConfig>;
  readonly firstSeq?: number;
  readonly now?: Instant;
}

export function newStreamClient({ client, firstSeq, now = START }: StreamOverrides = {}): StreamClient {
  return new StreamClient(clientConfig(client), { slab: new FrameSlab(), firstSeq }, now);
}

export function newStreamServer({ server, firstSeq, now = START }: StreamOverrides = {}): StreamServer {
  return new StreamServer(serverConfig(server), { slab: new FrameSlab(), firstSeq }, now);
}

/** Every frame that is ready to leave. */
export function framesFrom(connection: StreamConnection): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let bytes = connection.pollTransmit(); bytes !== undefined; bytes = connection.pollTransmit()) {
    frames.push(...cutFrames(bytes));
  }
  return frames;
}

export function onlyFrame(frames: readonly Uint8Array[]): Uint8Array {
  if (frames.length !== 1) throw new Error(`expected one frame, not ${frames.length}`);
  return frames[0] as Uint8Array;
}

export function cutFrames(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const end = offset + 12 + readU16(bytes, offset + 8);
    frames.push(bytes.slice(offset, end));
    offset = end;
  }
  return frames;
}

export function eventsFrom(connection: Connection): ConnectionEvent[] {
  const events: ConnectionEvent[] = [];
  for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) events.push(event);
  return events;
}

/** The messages among the events so far, as text. */
export function textsFrom(connection: Connection): string[] {
  return eventsFrom(connection).flatMap((event) =>
    event.type === "message" ? [Buffer.from(event.data).toString("latin1")] : [],
  );
}

/** The reason of the last event, which must be `closed`. */
export function closeReason(connection: Connection): CloseReason {
  const last = eventsFrom(connection).at(-1);
  if (last?.type !== "closed") throw new Error(`the last event is ${last?.type ?? "none"}, not closed`);
  return last.reason;
}

export interface EstablishedStream {
  readonly machine: StreamConnection;
  readonly raw: RawSession;
}

/** A machine in an established session with a hand-driven peer; its events and output are drained. */
export function establishedStream(role: Side, overrides: StreamOverrides = {}): EstablishedStream {
  return role === "client" ? establishedStreamClient(overrides) : establishedStreamServer(overrides);
}

export function establishedStreamClient(
  overrides: StreamOverrides = {},
): EstablishedStream & { machine: StreamClient } {
  const now = overrides.now ?? START;
  const machine = newStreamClient(overrides);
  const peer = new RawServer({ psk: overrides.client?.psk ?? testPsk() });
  machine.handleBytes(peer.challenge(onlyFrame(framesFrom(machine))), now);
  framesFrom(machine);
  machine.handleBytes(peer.sessionOk(), now);
  eventsFrom(machine);
  return { machine, raw: peer.session() };
}

export function establishedStreamServer(
  overrides: StreamOverrides = {},
): EstablishedStream & { machine: StreamServer } {
  const now = overrides.now ?? START;
  const machine = newStreamServer(overrides);
  const peer = new RawClient();
  machine.handleBytes(peer.hello(), now);
  machine.provideKeys([testPsk()], now);
  machine.handleBytes(peer.answer(onlyFrame(framesFrom(machine))), now);
  const raw = peer.finish(onlyFrame(framesFrom(machine)));
  eventsFrom(machine);
  return { machine, raw };
}

/** Two machines back to back; pump() carries bytes both ways until both are quiet. */
export class StreamPair {
  readonly client: StreamClient;
  readonly server: StreamServer;

  constructor(overrides: StreamOverrides = {}, candidates: readonly Secret[] = [testPsk()]) {
    this.client = newStreamClient(overrides);
    this.server = newStreamServer(overrides);
    const now = overrides.now ?? START;
    this.pump(now);
    this.server.provideKeys(candidates, now);
    this.pump(now);
  }

  pump(now: Instant): void {
    while (this.client.hasTransmit || this.server.hasTransmit) {
      for (const frame of framesFrom(this.client)) this.server.handleBytes(frame, now);
      for (const frame of framesFrom(this.server)) this.client.handleBytes(frame, now);
    }
  }
}
