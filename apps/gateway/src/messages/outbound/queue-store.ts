import type { DeviceId, WallMs } from "../../records.ts";
import type { OutboundRecord, OutboundState } from "../messages.ts";

/** A message as its sender gave it. */
export interface NewMessage {
  readonly device: DeviceId;
  readonly data: Uint8Array;
  readonly ttlMs: number;
  /** Actor.who. */
  readonly by: string;
  /** The sender's own name for it: the same name again is the same message. */
  readonly key: string | undefined;
}

/** What is wanted for a device: the oldest that wait, from behind `after` on. */
export interface Take {
  readonly device: DeviceId;
  readonly after: number;
  readonly limit: number;
}

/** A message that may be handed to a session: the database knows it as sent already. */
export interface TakenMessage {
  readonly id: number;
  readonly data: Uint8Array;
}

export interface Taken {
  readonly messages: readonly TakenMessage[];
  /** Nothing waits behind `after`. Without it there may be more: what was found had expired, for one. */
  readonly nothing: boolean;
}

/** What became of messages that a session had: it has them; or the session ended before that was known, or before they left. */
export interface Fates {
  readonly confirmed: readonly number[];
  readonly unknown: readonly number[];
  readonly unsent: readonly number[];
}

/** One transaction, in this order. */
export interface Batch extends Fates {
  readonly arriving: readonly NewMessage[];
  readonly takes: readonly Take[];
}

export interface BatchOutcome {
  /** Each change of a state, in order. */
  readonly changed: readonly OutboundRecord[];
  /** One for each that was arriving. */
  readonly arrived: readonly OutboundRecord[];
  /** One for each take. */
  readonly taken: readonly Taken[];
}

/** What waits for a device, sent ones included. */
export interface Backlog {
  readonly device: DeviceId;
  readonly messages: number;
  readonly bytes: number;
}

export interface StoredQueue {
  readonly backlogs: readonly Backlog[];
  /** Final records that are kept. */
  readonly ended: number;
  /** When the first of those that wait expires. */
  readonly nextExpiryAt: WallMs | undefined;
  /** Something was queued while the clock was in doubt. */
  readonly clockDoubted: boolean;
}

/** Selects records: all that wait, or those in a state; of one device, or of all. */
export interface RecordFilter {
  readonly device?: DeviceId | undefined;
  readonly state?: OutboundState | undefined;
}

/**
 * The queue's memory on the disk. Each method that changes something is one transaction, and can be tried again when it is not known whether
 * it was committed. Rejects with GatewayError "database".
 */
export interface QueueStore {
  /**
   * Reads how much waits. First, what is `sent` and not `underWay` in this process waits again, marked as maybe twice: the process that had
   * handed it to a session is no more, or lost the database meanwhile.
   */
  load(underWay: readonly number[]): Promise<StoredQueue>;
  commit(batch: Batch): Promise<BatchOutcome>;
  /** Takes back one that waits. Answers it as it is then: its state tells whether that came in time; undefined when there is none. */
  cancel(id: number): Promise<{ readonly record: OutboundRecord; readonly cancelled: boolean } | undefined>;
  /** Ends what waits for a device, sent or not; at most `limit`. */
  cancelDevice(device: DeviceId, limit: number): Promise<readonly OutboundRecord[]>;
  /** Ends what is queued and whose time is over; at most `limit`. Call it on a trusted clock only. */
  expire(limit: number): Promise<readonly OutboundRecord[]>;
  /** The time to live of what was queued under a clock in doubt begins now, when the clock is trusted. */
  trustClock(): Promise<void>;
  nextExpiryAt(): Promise<WallMs | undefined>;
  /** Forgets final records: those that ended before, and the oldest `excess`; at most `limit`. Answers how many. */
  prune(before: WallMs | undefined, excess: number, limit: number): Promise<number>;
  get(id: number): Promise<OutboundRecord | undefined>;
  /** A message that was sent under this key, with its data. */
  findKey(
    device: DeviceId,
    key: string,
  ): Promise<{ readonly record: OutboundRecord; readonly data: Uint8Array } | undefined>;
  /** By id. */
  page(filter: RecordFilter, after: number, limit: number): Promise<readonly OutboundRecord[]>;
  /** How many of each sender's messages to each device there are above an id, for the audit. */
  sendersAfter(id: number): Promise<readonly SenderCount[]>;
}

export interface SenderCount {
  readonly device: DeviceId;
  readonly by: string;
  readonly messages: number;
  readonly first: number;
  readonly last: number;
}
