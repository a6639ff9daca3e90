import type { AuditRow, AuditVerdict } from "../audit/audit-log.ts";
import type { OutboundState } from "../messages/messages.ts";
import type { MasterRotation, StorageDescription } from "../registry/registry.ts";
import type { ClockDoubt } from "../time/wall-clock.ts";
import type { CauseName } from "../why/cause.ts";

/**
 * What the command line asks a running gateway for. JSON lines over DIR/control.sock (a named pipe on Windows):
 *
 *   first line      {"hello":1,"token":"…","version":"0.1.0"}      the token is in DIR/control.token (0600): who reads it is the owner
 *   request         {"id":1,"method":"device.list","params":{…}}
 *   answer          {"id":1,"result":…}  or  {"id":1,"error":{"code":"unknown-device","message":"…"}}
 *   stream          {"id":1,"item":…}, any number, then {"id":1,"end":true} or an error; {"cancel":1} ends it
 *
 * A line has at most 1 MiB. Times are RFC 3339 texts. Keys travel in answers to device.add, device.rotate and factory-key, and in
 * requests that bring one along, as hex digits; nowhere else.
 */
export interface ControlMethods {
  "gateway.status": { params: Empty; result: GatewayStatus };
  "device.add": { params: { devices: readonly AddParams[] }; result: { devices: readonly EnrolledDevice[] } };
  "device.list": { params: { tag?: string; state?: string }; item: DeviceView };
  "device.show": { params: { id: string }; result: DeviceView };
  "device.rotate": { params: RotateParams; item: EnrolledDevice | { id: string; skipped: string } };
  "device.revoke": { params: { id: string }; result: DeviceView & { sessionsEnded: number } };
  "device.suspend": { params: { id: string }; result: DeviceView };
  "device.resume": { params: { id: string }; result: DeviceView };
  "device.rename": { params: { id: string; name: string | null }; result: DeviceView };
  "device.tag": { params: { id: string; add: readonly string[]; remove: readonly string[] }; result: DeviceView };
  "device.delete": { params: { id: string }; result: { id: string; generation: number } };
  "device.seen": { params: Empty; item: SeenView };
  why: { params: { id?: string; limit?: number }; item: RefusalView };
  "factory-key": { params: { batch: string }; result: { batch: string; key: string } };
  /** First how far the move is, then each device's new key. */
  "master.rotate": { params: { graceMs: number; to?: string }; item: { rotation: MasterRotation } | EnrolledDevice };
  "audit.verify": { params: Empty; result: AuditVerdict };
  /** Whoever runs it has looked into the anomalies so far; verify() no longer fails for them. */
  "audit.accept": { params: Empty; result: AuditVerdict };
  "audit.export": { params: { from?: number }; item: AuditRow };
  "clock.confirm": { params: Empty; result: Empty };
  /** The sealed backup, in base64 pieces. */
  /** Stored messages, the oldest first, queued ones' states among them; with `follow` it goes on with those to come. `since`: RFC 3339. */
  "message.log": {
    params: { id?: string; since?: string; after?: number; limit?: number; follow?: boolean };
    item: MessageView | { dropped: number };
  };
  /**
   * `data`: base64. Resolves when the message is durable in the queue. `key`: the sender's own name for it; the same again, for as long as the
   * record is kept, answers with the message that there is and queues nothing.
   */
  "message.send": { params: { id: string; data: string; ttlMs?: number; key?: string }; result: OutboundView };
  /** In the order in which they were queued; without a state those that wait, sent ones included. */
  "message.queue": { params: { id?: string; state?: OutboundState }; item: OutboundView };
  "message.show": { params: { message: number }; result: OutboundView };
  /** Each state from now on, until it is final. */
  "message.follow": { params: { message: number }; item: OutboundView };
  "message.cancel": { params: { message: number }; result: OutboundView };
  "session.list": { params: Empty; item: SessionView };
  /** What happens from now on. */
  events: { params: { types?: readonly string[]; id?: string }; item: EventView };
  "token.add": {
    params: { name: string; role: TokenRole; ttlMs?: number };
    result: TokenView & { token: string };
  };
  "token.list": { params: Empty; item: TokenView };
  "token.revoke": { params: { token: string }; result: TokenView };
  "gateway.health": { params: Empty; result: HealthView };
  backup: { params: { passphrase?: string; recipient?: string }; item: { data: string } };
}

export type ControlMethod = keyof ControlMethods;
export type Empty = Readonly<Record<string, never>>;

export interface AddParams {
  id?: string;
  name?: string;
  tags?: readonly string[];
  /** Hex digits of a key that was brought along. */
  key?: string;
  /** Lets a weak key be brought along. */
  allowWeak?: boolean;
  batch?: string;
}

export interface RotateParams {
  id?: string;
  all?: boolean;
  graceMs?: number;
  compromised?: boolean;
  replace?: boolean;
  key?: string;
  allowWeak?: boolean;
}

/** `usmp device add --json`, line by line. */
export interface EnrolledDevice {
  id: string;
  name: string | null;
  /** 64 hex digits of derived keys; `hex:…` of others. */
  psk: string;
  generation: number;
  graceEndsAt?: string;
}

/** `usmp device list --json`, line by line. */
export interface DeviceView {
  id: string;
  name: string | null;
  tags: readonly string[];
  state: "active" | "suspended" | "revoked" | "rotating";
  generation: number | null;
  /** The generation that the device last proved. */
  provenGeneration: number | null;
  previousGeneration: number | null;
  graceEndsAt: string | null;
  origin: "derived" | "factory" | "imported" | null;
  addedAt: string;
  lastSeenAt: string | null;
  online: boolean;
  transport: "tcp" | "udp" | null;
  peer: string | null;
}

export interface SeenView {
  id: string;
  transport: "tcp" | "udp";
  source: string;
  firstSeenAt: string;
  lastSeenAt: string;
  attempts: number;
}

/** `usmp why --json`, line by line: the fields of the cause stand beside its name, with null for what is undefined and times as texts. */
export type RefusalView = { cause: CauseName } & { readonly [field: string]: unknown } & {
  time: string;
  firstTime: string;
  count: number;
  device: string | null;
  transport: "tcp" | "udp";
  peer: string;
  says: string;
  evidence: readonly string[];
  fix: readonly string[];
};

/** `usmp logs --json`, line by line. */
export interface MessageView {
  id: number;
  device: string;
  direction: "in" | "out";
  time: string;
  /** 32 hex digits; null of what is queued. */
  session: string | null;
  /** The place among the session's messages; null of those to the device. */
  sequence: number | null;
  /** base64. */
  data: string;
  /** Where it is UTF-8. */
  text?: string;
  /** Of those to the device. */
  state?: OutboundState;
}

export interface OutboundView {
  message: number;
  device: string;
  state: OutboundState;
  queuedAt: string;
  expiresAt: string;
  sentAt: string | null;
  endedAt: string | null;
  attempts: number;
  maybeTwice: boolean;
  bytes: number;
  by: string;
}

/** `usmp monitor --json`, line by line. Rates are of the last seconds. */
export interface SessionView {
  device: string;
  name: string | null;
  session: string;
  transport: "tcp" | "udp";
  peer: string;
  generation: number;
  since: string;
  lastSeenAt: string;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Messages a second, both ways. */
  rate: number;
  roundTripMs: number | null;
  /** Share of frames that had to be sent again, 0 to 1; null over TCP. */
  loss: number | null;
}

/** A GatewayEvent in JSON: times as texts, data in base64, `type` as there. */
export type EventView = { type: string } & { readonly [field: string]: unknown };

/** viewer: reads state. operator: messages, sends, suspends too. admin: keys, tokens, backups too. */
export type TokenRole = "viewer" | "operator" | "admin";

export interface TokenView {
  /** Names the token, opens nothing. */
  id: string;
  name: string;
  role: TokenRole;
  createdAt: string;
  expiresAt: string | null;
  lastUsedAt: string | null;
  revoked: boolean;
}

export interface HealthView {
  ready: boolean;
  checks: readonly { name: string; ok: boolean; detail: string }[];
}

export interface GatewayStatus {
  version: string;
  pid: number;
  startedAt: string;
  dev: boolean;
  addresses: readonly { transport: "tcp" | "udp"; host: string; port: number }[];
  sessions: number;
  devices: number;
  registryAgeMs: number;
  storage: StorageDescription;
  clock: ClockDoubt | null;
  masterSource: string;
  masterExposure: string | null;
  masterRotation: MasterRotation | null;
}
