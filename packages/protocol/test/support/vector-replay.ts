import { defaultCrypto } from "@usmp/crypto";
import { type ScriptedCrypto, scriptedCrypto } from "@usmp/testkit";
import { DatagramClient } from "../../src/connection/datagram-client.ts";
import type { ConnectionEvent } from "../../src/connection/events.ts";
import { StreamClient } from "../../src/connection/stream-client.ts";
import { StreamServer } from "../../src/connection/stream-server.ts";
import type { CryptoProvider, Side } from "../../src/crypto/provider.ts";
import { Secret } from "../../src/crypto/secret.ts";
import { addMs, type Instant } from "../../src/time.ts";
import { FrameSlab } from "../../src/wire/output.ts";
import { CLIENT_ADDRESS, cookieFor, newEndpoint, SERVER_ADDRESS, sent } from "./datagrams.ts";
import { clientConfig, filled, START, serverConfig } from "./fixtures.ts";
import { fromHex, toHex } from "./hex.ts";
import { RawClient, RawSession } from "./raw-peer.ts";
import { eventsFrom, framesFrom } from "./streams.ts";
import type { VectorFrame, VectorSession } from "./vectors.ts";

/** What one end did when a recorded session was played to it. */
export interface Replay {
  /** Its frames, in hexadecimal, in the order in which they left. */
  readonly frames: readonly string[];
  readonly events: readonly ConnectionEvent[];
  readonly script: ScriptedCrypto;
}

interface Application {
  send(message: Uint8Array, now: Instant): number;
  ping(now: Instant): void;
  rekey(now: Instant): void;
  close(now: Instant): void;
}

/** Frames of a session in file order. */
export function allFrames(session: VectorSession): readonly VectorFrame[] {
  return [...session.handshake_frames, ...session.session_frames, ...(session.rekey?.frames ?? []), session.bye_frame];
}

/** Messages of a session that `from` sent; the file gives those after the rekey only sealed. */
export function messagesFrom(session: VectorSession, from: Side): Uint8Array[] {
  const before = session.messages.filter((message) => message.from === from).map(({ data }) => fromHex(data));
  const after = (session.rekey?.frames ?? [])
    .filter((vector) => vector.from === from && vector.type === "DATA")
    .map(({ frame }) => peerOf(from, session).open(fromHex(frame), 1).plaintext);
  return [...before, ...after];
}

/** The recorded peer of `role`, with the keys of both epochs from the file. */
export function peerOf(role: Side, session: VectorSession): RawSession {
  const side = role === "client" ? "server" : "client";
  const sessionId = fromHex(session.session_id);
  const epochs = [session, ...(session.rekey === undefined ? [] : [session.rekey])].map(({ key_c2s, key_s2c }) =>
    defaultCrypto().importTrafficKeys(side, new Secret(fromHex(key_c2s)), new Secret(fromHex(key_s2c)), sessionId),
  );
  const [first, ...later] = epochs;
  if (first === undefined) throw new Error("a session has keys");
  const raw = new RawSession(sessionId, first);
  raw.epochs.push(...later);
  return raw;
}

export function replayOverStream(role: Side, crypto: CryptoProvider, session: VectorSession): Replay {
  const script = scriptFor(role, crypto, session, []);
  const options = { slab: new FrameSlab() };
  const psk = new Secret(fromHex(session.psk));
  const machine =
    role === "client"
      ? new StreamClient(
          clientConfig({ crypto: script.provider, psk, deviceId: fromHex(session.device_id) }),
          options,
          START,
        )
      : new StreamServer(serverConfig({ crypto: script.provider }), options, START);
  const messages = messagesFrom(session, role);
  const frames: string[] = [];
  const events: ConnectionEvent[] = [];
  let before: VectorFrame | undefined;

  for (const vector of allFrames(session)) {
    if (vector.from === role) act(machine, vector, before, messages, START);
    else machine.handleBytes(fromHex(vector.frame), START);
    frames.push(...framesFrom(machine).map(toHex));
    events.push(...eventsFrom(machine));
    if (machine instanceof StreamServer && events.at(-1)?.type === "keys-needed") machine.provideKeys([psk], START);
    before = vector;
  }
  return { frames, events, script };
}

/** Acknowledges each frame with the recorded keys, and lets time pass where a rekey makes the machine wait. */
export function replayOverDatagrams(role: Side, crypto: CryptoProvider, session: VectorSession): Replay {
  const end = role === "client" ? datagramClient(crypto, session) : datagramServer(crypto, session);
  const { machine, script, give } = end;
  const messages = messagesFrom(session, role);
  const peer = peerOf(role, session);
  const frames: string[] = [...end.frames];
  const events: ConnectionEvent[] = [...end.events];
  let now = START;
  let epoch = 0;
  let before: VectorFrame | undefined;

  for (const vector of allFrames(session).slice(session.handshake_frames.length)) {
    if (vector.from === role) {
      act(machine, vector, before, messages, now);
      let ready = sent(machine).frames;
      if (ready.length === 0) {
        now = addMs(now, 2_000);
        machine.handleTimeout(now);
        ready = sent(machine).frames;
      }
      for (const frame of ready) {
        frames.push(toHex(frame));
        // What this releases is polled when its turn in the file comes.
        give(peer.utack(frame, epoch), now);
      }
    } else {
      give(fromHex(vector.frame), now);
    }
    events.push(...eventsFrom(machine));
    if (vector.type === "REKEY") epoch = 1;
    before = vector;
  }
  return { frames, events, script };
}

function datagramClient(crypto: CryptoProvider, session: VectorSession) {
  const script = scriptFor("client", crypto, session, []);
  const psk = new Secret(fromHex(session.psk));
  const config = clientConfig({ crypto: script.provider, psk, deviceId: fromHex(session.device_id) });
  const machine = new DatagramClient(config, { peer: SERVER_ADDRESS }, START);
  const give = (datagram: Uint8Array, now: Instant): void => machine.handleDatagram(datagram, SERVER_ADDRESS, now);
  for (const vector of session.handshake_frames) if (vector.from === "server") give(fromHex(vector.frame), START);
  return { machine, script, give, frames: sent(machine).frames.map(toHex), events: eventsFrom(machine) };
}

function datagramServer(crypto: CryptoProvider, session: VectorSession) {
  const script = scriptFor("server", crypto, session, [filled(32, 1), filled(32, 2)]);
  const endpoint = newEndpoint({ server: { crypto: script.provider } });
  // The file's HELLO has no cookie: what its client would have sent after HELLO_RETRY is made here.
  const deviceId = fromHex(session.device_id);
  const client = new RawClient({ deviceId, publicKey: fromHex(session.client_public) });
  const give = (datagram: Uint8Array, now: Instant): void =>
    void endpoint.handleDatagram(datagram, CLIENT_ADDRESS, now);
  const cookie = cookieFor(endpoint, client, CLIENT_ADDRESS, START);
  const [machine] = endpoint.handleDatagram(client.hello(cookie), CLIENT_ADDRESS, START);
  if (machine === undefined) throw new Error("the cookie was not taken");
  machine.provideKeys([new Secret(fromHex(session.psk))], START);
  give(fromHex((session.handshake_frames[2] as VectorFrame).frame), START);
  const frames = sent(machine).frames.map(toHex);
  give(fromHex("acac0400000000"), START);
  return { machine, script, give, frames, events: eventsFrom(machine) };
}

/** The random parts of one end's session, as recorded; `first` are drawn before them. */
function scriptFor(
  role: Side,
  crypto: CryptoProvider,
  session: VectorSession,
  first: readonly Uint8Array[],
): ScriptedCrypto {
  const salt = session.rekey?.by === role ? [fromHex(session.rekey.salt)] : [];
  return role === "client"
    ? scriptedCrypto(crypto, { privateKeys: [fromHex(session.client_private)], random: [...first, ...salt] })
    : scriptedCrypto(crypto, {
        privateKeys: [fromHex(session.server_private)],
        random: [...first, fromHex(session.challenge_nonce), fromHex(session.session_id), ...salt],
      });
}

/** What the application does for the next frame to leave. PONG, the handshake and the rest of a message come by themselves. */
function act(
  application: Application,
  vector: VectorFrame,
  before: VectorFrame | undefined,
  messages: Uint8Array[],
  now: Instant,
): void {
  const continues = before?.from === vector.from && before.type === "DATA_FRAG";
  if ((vector.type === "DATA" || vector.type === "DATA_FRAG") && !continues) {
    const message = messages.shift();
    if (message === undefined) throw new Error("the file has more DATA than messages");
    application.send(message, now);
  }
  if (vector.type === "PING") application.ping(now);
  if (vector.type === "REKEY") application.rekey(now);
  if (vector.type === "BYE") application.close(now);
}
