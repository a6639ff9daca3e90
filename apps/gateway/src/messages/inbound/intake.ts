import { addMs } from "@usmp/protocol";
import type { Clock, Session } from "usmp";
import { GatewayError } from "../../errors.ts";
import type { GatewayEvents } from "../../events/gateway-events.ts";
import type { GatewaySession } from "../../gateway/gateway.ts";
import type { WallClock } from "../../time/wall-clock.ts";
import type { MessageSeal } from "../message-seal.ts";
import type { InboundMessage, MessageSettings } from "../messages.ts";
import type { MessageStorage } from "../storage.ts";
import { INBOUND_TABLE, toValues } from "./inbound-table.ts";
import { type DroppedBecause, type Retention, ROW_BYTES } from "./retention.ts";

/** Messages of all devices that may wait for the store; then nothing more is read, and devices wait in turn. */
const MOST_WAITING_BYTES = 16_777_216;
/** One transaction: more would make the others wait, and durable devices for longer than they bear. */
const MOST_IN_BATCH = 2_000;
/** Between tries while the database does not take messages. Milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
/** How long an end waits for a database that is in trouble. */
const END_MS = 3_000;

/** A message on its way to the store. */
interface Waiting {
  /** 0: none yet. */
  id: number;
  readonly reader: Reader;
  readonly sequence: number;
  readonly time: number;
  readonly data: Uint8Array;
  /** It was handed to subscribers, because the store is away and need not be waited for. */
  told: boolean;
}

/** One session that is read. */
interface Reader {
  readonly session: Session;
  /** Its device is not wanted any more: nothing of it is heard, also what was on its way. */
  dismissed: boolean;
  /** Of its messages, those that are not told yet. */
  untold: number;
  onTold: () => void;
}

export interface IntakeStatistics {
  /** Messages that devices have sent since the start. */
  readonly received: number;
  readonly receivedBytes: number;
  readonly stored: number;
  /** Handed to subscribers and never stored: the database was away for longer than they could wait. Not in durable operation. */
  readonly unstored: number;
  /** Waiting for the store now. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Of the last transaction. Milliseconds; undefined before the first. */
  readonly storeMs: number | undefined;
  /** Since when the database takes nothing; undefined: it does. */
  readonly trouble: { readonly since: number; readonly message: string } | undefined;
  /** In the store, about. */
  readonly keptMessages: number;
  readonly keptBytes: number;
  /** Stored messages that went, by cause. */
  readonly dropped: Readonly<Record<DroppedBecause, number>>;
}

export interface IntakeOptions {
  readonly storage: MessageStorage;
  readonly seal: MessageSeal;
  readonly retention: Retention;
  readonly settings: Pick<MessageSettings, "durable">;
  readonly events: GatewayEvents;
  readonly clock: Clock;
  readonly wallClock: WallClock;
}

/**
 * Reads every session, numbers its messages, stores them, and tells of each once it is stored: everything that waits goes in one transaction.
 * What waits is bounded: then sessions are not read, and their devices wait.
 *
 * While the database takes nothing: in durable operation messages wait, and devices with them; no message is told that is not stored. Otherwise
 * they are told at once, and stored later, as many as fit what may wait; the oldest are given up then, and counted.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #storing: Promise<void> | undefined;
  #received = 0;
  #receivedBytes = 0;
  #stored = 0;
  #unstored = 0;
  #storeMs: number | undefined;
  #trouble: { readonly since: number; readonly message: string } | undefined;
  #retryMs = FIRST_RETRY_MS;
  #wakeRetry: () => void = () => {};
  #onRoom: (() => void)[] = [];
  #closed = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  get statistics(): IntakeStatistics {
    const { retention } = this.#options;
    return {
      received: this.#received,
      receivedBytes: this.#receivedBytes,
      stored: this.#stored,
      unstored: this.#unstored,
      waiting: this.#waiting.length,
      waitingBytes: this.#waitingBytes,
      storeMs: this.#storeMs,
      trouble: this.#trouble,
      keptMessages: retention.storedMessages,
      keptBytes: retention.storedBytes,
      dropped: { ...retention.dropped },
    };
  }

  /** Reads a session to its end. Resolves when all its messages were told; never rejects. */
  async read({ session }: GatewaySession): Promise<void> {
    const reader: Reader = { session, dismissed: false, untold: 0, onTold: () => {} };
    void session.closed.then(({ code }) => {
      reader.dismissed = code === "dismissed";
    });
    let sequence = 0;
    for await (const data of session) {
      while (this.#full) await this.#room();
      // It lies in memory that much else shares.
      this.#take(reader, ++sequence, data.slice());
    }
    if (reader.untold === 0) return;
    await new Promise<void>((resolve) => {
      reader.onTold = resolve;
    });
  }

  /** Stores what is left, if the database takes it within three seconds: sessions have ended before. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    this.#wakeRetry();
    await new Promise<void>((resolve) => {
      const cancel = clock.schedule(addMs(clock.now(), END_MS), resolve);
      void (this.#storing ?? Promise.resolve()).then(() => {
        cancel();
        resolve();
      });
    });
    this.#closed = true;
    this.#wakeRetry();
    await this.#storing;
    await this.#options.retention.settled();
  }

  get #full(): boolean {
    return this.#waitingBytes >= MOST_WAITING_BYTES && !this.#closed;
  }

  /** While the store is away and need not be waited for, subscribers have each message at once. */
  get #tellsAtOnce(): boolean {
    return this.#trouble !== undefined && !this.#options.settings.durable;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#onRoom.push(resolve));
  }

  #take(reader: Reader, sequence: number, data: Uint8Array): void {
    const waiting = { id: 0, reader, sequence, time: this.#options.wallClock.now(), data, told: false };
    this.#received++;
    this.#receivedBytes += data.length;
    reader.untold++;
    this.#waiting.push(waiting);
    this.#waitingBytes += data.length + ROW_BYTES;
    if (this.#tellsAtOnce) this.#tellUnstored([waiting]);
    this.#storing ??= this.#store().finally(() => {
      this.#storing = undefined;
    });
  }

  async #store(): Promise<void> {
    // A turn later: what came in this one goes along.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, MOST_IN_BATCH);
      try {
        await this.#storeBatch(batch);
      } catch (error) {
        if (this.#closed) return this.#giveUp();
        this.#onTrouble(error);
        await this.#pause();
      }
    }
  }

  async #storeBatch(batch: readonly Waiting[]): Promise<void> {
    const { storage, seal, retention, clock } = this.#options;
    const began = clock.now();
    const messages = await storage.transaction(async (change) => {
      for (const waiting of batch) if (waiting.id === 0) waiting.id = change.takeId();
      const messages = batch.filter(({ reader }) => !reader.dismissed).map(toMessage);
      await change.insertAll(
        INBOUND_TABLE,
        messages.map((message) => toValues(message, seal)),
      );
      return messages;
    });
    this.#storeMs = clock.now() - began;
    this.#stored += messages.length;
    this.#onWell();
    this.#remove(batch.length);
    retention.noteStored(messages);
    this.#accept(batch);
    for (const waiting of batch) this.#tell(waiting);
  }

  /** Devices are told that their messages are safe: in one word for each session. */
  #accept(batch: readonly Waiting[]): void {
    const counts = new Map<Session, number>();
    for (const { reader } of batch) counts.set(reader.session, (counts.get(reader.session) ?? 0) + 1);
    for (const [session, count] of counts) session.accept(count);
  }

  #tell(waiting: Waiting): void {
    if (waiting.told) return;
    waiting.told = true;
    const { reader } = waiting;
    if (!reader.dismissed) this.#options.events.emit({ type: "message", message: toMessage(waiting) });
    if (--reader.untold === 0) reader.onTold();
  }

  #tellUnstored(untold: readonly Waiting[]): void {
    for (const waiting of untold) {
      if (waiting.told) continue;
      try {
        if (waiting.id === 0) waiting.id = this.#options.storage.takeId();
      } catch {
        return; // No numbers are left: it waits.
      }
      this.#tell(waiting);
    }
  }

  #remove(count: number): void {
    for (const { data } of this.#waiting.splice(0, count)) this.#waitingBytes -= data.length + ROW_BYTES;
    if (this.#full) return;
    for (const resolve of this.#onRoom.splice(0)) resolve();
  }

  #onTrouble(error: unknown): void {
    const message = error instanceof GatewayError ? error.message : String(error);
    if (this.#trouble === undefined) {
      this.#trouble = { since: this.#options.wallClock.now(), message };
      const consequence = this.#options.settings.durable
        ? "devices wait, and nothing that was acknowledged is lost"
        : "messages go on to subscribers, and are stored later, as many as fit";
      this.#notice(`messages cannot be stored: ${message}; ${consequence}`);
    }
    if (this.#tellsAtOnce) this.#tellUnstored(this.#waiting);
  }

  #onWell(): void {
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#trouble === undefined) return;
    const seconds = Math.ceil((this.#options.wallClock.now() - this.#trouble.since) / 1000);
    this.#trouble = undefined;
    this.#notice(`messages are stored again, after ${seconds} s; ${this.#unstored} were never stored since the start`);
  }

  #notice(message: string): void {
    this.#options.events.emit({ type: "notice", time: this.#options.wallClock.now(), topic: "messages", message });
  }

  /** Until the next try; makes room for what comes, where devices must not wait. */
  async #pause(): Promise<void> {
    const { clock } = this.#options;
    if (this.#tellsAtOnce) this.#forgetOldest();
    await new Promise<void>((resolve) => {
      const cancel = clock.schedule(addMs(clock.now(), this.#retryMs), resolve);
      this.#wakeRetry = () => {
        cancel();
        resolve();
      };
    });
    this.#wakeRetry = () => {};
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }

  #forgetOldest(): void {
    let count = 0;
    for (let bytes = this.#waitingBytes; bytes > MOST_WAITING_BYTES / 2; count++) {
      const oldest = this.#waiting[count];
      if (oldest === undefined || !oldest.told) break;
      bytes -= oldest.data.length + ROW_BYTES;
    }
    this.#unstored += count;
    this.#remove(count);
  }

  #giveUp(): void {
    this.#unstored += this.#waiting.length;
    for (const { reader, told } of this.#waiting) if (!told && --reader.untold === 0) reader.onTold();
    this.#remove(this.#waiting.length);
  }
}

function toMessage({ id, reader: { session }, sequence, time, data }: Waiting): InboundMessage {
  const { deviceId: device, sessionId, transport } = session;
  return { id, device, session: sessionId, sequence, time, transport, data };
}
