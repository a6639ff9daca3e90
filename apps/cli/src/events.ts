import type { DeviceView, OutboundView, SeenView, SessionView } from "@usmp/gateway";
import type { CloseReason } from "@usmp/protocol";
import type { Fate, LinkState, Move, Peer, Refusal, Session, TransportName, WorkerEvent } from "usmp";
import { describeLinkEnd, describeReason, formatAddress } from "usmp";
import type { SettingEvent } from "./configuration/print.ts";
import type { FleetEvent } from "./fleet-events.ts";
import { asText } from "./printable.ts";
import type { ServiceEvent, UnitEvent } from "./service/service-events.ts";

/**
 * What commands report: one object a line under --json, one line of text without it. Names and meanings are stable; docs/cli.md
 * lists them and a test holds both together.
 */
export type CliEvent =
  | KeyEvent
  | GatewayEvent
  | { readonly event: "listening"; readonly transport: TransportName; readonly host: string; readonly port: number }
  | { readonly event: "address"; readonly transport: TransportName; readonly host: string; readonly port: number }
  | { readonly event: "notice"; readonly topic: string; readonly message: string }
  | ({ readonly event: "device" } & DeviceView)
  | ({ readonly event: "live" } & SessionView)
  | { readonly event: "skipped"; readonly id: string; readonly reason: string }
  | { readonly event: "deleted"; readonly id: string; readonly generation: number }
  | ({ readonly event: "seen" } & SeenView)
  | ({ readonly event: "outbound" } & OutboundView)
  | ConnectingEvent
  | SessionEvent
  | ({ readonly event: "message" } & SessionIdentity & MessageContent)
  | ({ readonly event: "sent" } & SessionIdentity & { readonly bytes: number })
  | ({ readonly event: "pong" } & SessionIdentity & { readonly roundTripMs: number })
  | ({ readonly event: "rekeyed" } & SessionIdentity & { readonly epoch: number })
  | ({ readonly event: "stats" } & SessionIdentity & StatisticsContent)
  | ({ readonly event: "moved" } & SessionIdentity & MoveContent)
  | ({ readonly event: "closed" } & SessionIdentity & ReasonContent)
  | LinkEvent
  | UndeliveredEvent
  | RefusedEvent
  | WorkerLifeEvent
  | FleetEvent
  | SettingEvent
  | ServiceEvent
  | UnitEvent
  | ErrorEvent;

export interface KeyEvent {
  readonly event: "key";
  readonly form: "hex" | "text";
  readonly bytes: number;
  /** The option or variable that named the key. */
  readonly source: string;
  /** serve: which device ids this key lets in. */
  readonly admits?: "any device id";
  readonly note?: string;
}

/** connect and send: where to, and as whom. */
export interface ConnectingEvent {
  readonly event: "connecting";
  readonly transport: TransportName;
  readonly host: string;
  readonly port: number;
  readonly device: string;
  /** True when --device-id was not given. */
  readonly randomDevice: boolean;
}

/** gateway: it is open; `listening` follows. */
export interface GatewayEvent {
  readonly event: "gateway";
  /** Its data directory. */
  readonly data: string;
  readonly devices: number;
  /** True on the first run. */
  readonly created: boolean;
  readonly dev: boolean;
}

export interface SessionEvent extends SessionIdentity {
  readonly event: "session";
  readonly peer: string;
  readonly transport: TransportName;
  /** gateway: of the key that was proven. */
  readonly generation?: number;
  /** gateway: the device's. */
  readonly name?: string;
}

/** connect --reconnect: what the link does now. */
export interface LinkEvent {
  readonly event: "link";
  readonly device: string;
  readonly state: LinkState["name"];
  /** connecting: counts from 1 since the last session. */
  readonly attempt?: number;
  /** waiting: so long, in milliseconds. */
  readonly retryInMs?: number;
  /** waiting and closed: why. */
  readonly cause?: string;
  readonly description?: string;
}

/** connect --reconnect: a message that did not arrive, or may not have. */
export interface UndeliveredEvent {
  readonly event: "undelivered";
  readonly device: string;
  readonly bytes: number;
  readonly fate: "unknown" | "dropped";
  readonly cause: string;
}

export interface RefusedEvent {
  readonly event: "refused";
  readonly peer: string;
  readonly transport: TransportName;
  /** As claimed, not proven; null when no HELLO came. */
  readonly device: string | null;
  /** The close reason's code, or its cause where it has one. */
  readonly cause: string;
  readonly description: string;
  /** How many refusals were not printed before this one, because nobody took our output. */
  readonly omitted?: number;
}

/** serve and gateway with --workers: a worker process listens, or has ended and comes back. */
export interface WorkerLifeEvent {
  readonly event: "worker";
  /** 0 for the first. */
  readonly worker: number;
  readonly state: "started" | "ended";
  readonly pid: number;
  /** Ended: the signal or the exit code, the sessions that were lost, and the milliseconds until it begins again. */
  readonly cause?: string;
  readonly lostSessions?: number;
  readonly restartInMs?: number;
}

export interface ErrorEvent {
  readonly event: "error";
  readonly code: string;
  readonly message: string;
}

interface SessionIdentity {
  readonly device: string;
  readonly session: string;
}

interface MessageContent {
  /** Base64. */
  readonly data: string;
  /** Only when the bytes are UTF-8 text without control characters other than tabs and line ends. */
  readonly text?: string;
}

interface ReasonContent {
  readonly reason: CloseReason["code"];
  readonly description: string;
}

interface MoveContent {
  readonly from: string;
  readonly to: string;
  /** False until the new address has shown that it hears us. */
  readonly proven: boolean;
}

interface StatisticsContent {
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly framesSent: number;
  readonly framesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly retransmissions: number;
  readonly epoch: number;
  /** Null before the first sample. */
  readonly roundTripMs: number | null;
  readonly dropped: Readonly<Record<string, number>>;
}

export function sessionEvent(session: Session): SessionEvent {
  return { event: "session", ...identity(session), peer: peerText(session.peer), transport: session.transport };
}

export function messageEvent(session: SessionNames, message: Uint8Array): CliEvent {
  const text = asText(message);
  const data = Buffer.from(message.buffer, message.byteOffset, message.length).toString("base64");
  return { event: "message", ...identity(session), data, ...(text === undefined ? {} : { text }) };
}

export function sentEvent(session: SessionNames, bytes: number): CliEvent {
  return { event: "sent", ...identity(session), bytes };
}

export function linkEvent(device: string, state: LinkState): LinkEvent {
  const event = { event: "link", device, state: state.name } as const;
  switch (state.name) {
    case "connecting":
      return { ...event, attempt: state.attempt };
    case "connected":
      return event;
    case "waiting": {
      const { code, message } = state.error;
      return { ...event, retryInMs: Math.round(state.retryInMs), cause: code, description: message };
    }
    case "closed":
      return { ...event, cause: state.end.code, description: describeLinkEnd(state.end) };
  }
}

/** What became of a message over a link. */
export function fateEvent(device: string, fate: Fate, bytes: number): CliEvent {
  if (fate.fate === "delivered") return sentEvent({ deviceId: device, sessionId: fate.sessionId }, bytes);
  const cause = fate.fate === "unknown" ? fate.error.code : fate.cause;
  return { event: "undelivered", device, bytes, fate: fate.fate, cause };
}

export function pongEvent(session: Session, roundTripMs: number): CliEvent {
  return { event: "pong", ...identity(session), roundTripMs: microseconds(roundTripMs) };
}

export function rekeyedEvent(session: Session): CliEvent {
  return { event: "rekeyed", ...identity(session), epoch: session.statistics.epoch };
}

export function statsEvent(session: Session): CliEvent {
  const {
    messagesSent,
    messagesReceived,
    framesSent,
    framesReceived,
    bytesSent,
    bytesReceived,
    retransmissions,
    epoch,
  } = session.statistics;
  const { roundTripMs, dropped } = session.statistics;
  return {
    event: "stats",
    ...identity(session),
    messagesSent,
    messagesReceived,
    framesSent,
    framesReceived,
    bytesSent,
    bytesReceived,
    retransmissions,
    epoch,
    roundTripMs: roundTripMs === undefined ? null : microseconds(roundTripMs),
    dropped,
  };
}

export function movedEvent(session: SessionNames, { from, to, proven }: Move): CliEvent {
  return { event: "moved", ...identity(session), from: peerText(from), to: peerText(to), proven };
}

export function closedEvent(session: Session, reason: CloseReason): CliEvent {
  return { event: "closed", ...identity(session), reason: reason.code, description: describeReason(reason) };
}

export function refusedEvent({ peer, claimedDeviceId, reason }: Refusal, omitted = 0): RefusedEvent {
  return {
    event: "refused",
    peer: peerText(peer),
    transport: peer.transport,
    device: claimedDeviceId ?? null,
    cause: "cause" in reason ? reason.cause : reason.code,
    description: reason.code === "lookup-failed" ? reason.message : describeReason(reason),
    ...(omitted === 0 ? {} : { omitted }),
  };
}

export function workerEvent({ type, ...life }: WorkerEvent): WorkerLifeEvent {
  return { event: "worker", state: type, ...life };
}

/** Whose message it is: all that such events need of a session. */
type SessionNames = Pick<Session, "deviceId" | "sessionId">;

function identity(session: SessionNames): SessionIdentity {
  return { device: session.deviceId, session: session.sessionId };
}

function peerText(peer: Peer): string {
  return formatAddress(peer);
}

/** Clocks give more digits than they know. */
function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
