import { onTestFinished } from "vitest";
import type { SendSummary } from "../../src/audit/audit-log.ts";
import { GatewayEvents } from "../../src/events/gateway-events.ts";
import { DEFAULT_MESSAGE_SETTINGS, type MessageSettings, type OutboundRecord } from "../../src/messages/messages.ts";
import { OutboundQueue } from "../../src/messages/outbound/outbound-queue.ts";
import type { QueueStore } from "../../src/messages/outbound/queue-store.ts";
import type { SendRequest } from "../../src/messages/outbound/send-rules.ts";
import { SqlQueueStore } from "../../src/messages/outbound/sql-queue-store.ts";
import type { MessageStorage } from "../../src/messages/storage.ts";
import type { Device, DeviceState } from "../../src/records.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { openMessagesSoon } from "./message-storages.ts";
import { ADA, type TestHome } from "./registries.ts";
import { SimulatedSession } from "./simulated-device.ts";

export const DEVICE = "02:00:00:00:00:01";

export interface TestQueueOptions {
  readonly settings?: Partial<MessageSettings>;
  /** Stands between the queue and its database. */
  readonly wrap?: (store: QueueStore) => QueueStore;
}

/** An outbound queue on a real database, with virtual time and devices that do what a test says. */
export class TestQueue {
  readonly home: TestHome;
  readonly states: Map<string, DeviceState> = new Map([[DEVICE, "active"]]);
  readonly audited: SendSummary[] = [];
  readonly appended: { readonly action: string; readonly detail: object }[] = [];
  /** Each change of a state, as it was told. */
  readonly told: OutboundRecord[] = [];
  readonly notices: string[] = [];
  /** What devices received, as text, in order. */
  readonly received: Map<string, string[]> = new Map();
  readonly #settings: Map<string, string> = new Map();
  readonly #sessions: Map<string, SimulatedSession> = new Map();
  readonly #options: TestQueueOptions;
  storage!: MessageStorage;
  queue!: OutboundQueue;

  private constructor(home: TestHome, options: TestQueueOptions) {
    this.home = home;
    this.#options = options;
  }

  static async open(home: TestHome, options: TestQueueOptions = {}): Promise<TestQueue> {
    const test = new TestQueue(home, options);
    test.storage = await openMessagesSoon(home);
    onTestFinished(() => test.storage.close());
    await test.start();
    return test;
  }

  /** A gateway begins on what the database holds; the one before, if any, is no more. */
  async start(): Promise<void> {
    const { clock, wallClock } = this.home.time;
    this.#sessions.clear();
    const events = new GatewayEvents();
    events.on((event) => {
      if (event.type === "outbound") this.told.push(event.message);
      if (event.type === "notice") this.notices.push(event.message);
    });
    const store = new SqlQueueStore(this.storage, UNSEALED, wallClock);
    this.queue = await OutboundQueue.open({
      store: this.#options.wrap?.(store) ?? store,
      registry: this.#registry(),
      sessions: { get: (id) => this.#sessions.get(id)?.admitted },
      settings: { ...DEFAULT_MESSAGE_SETTINGS, ...this.#options.settings },
      events,
      clock,
      wallClock,
    });
  }

  /** The device connects. */
  connect(transport: "tcp" | "udp" = "tcp", { device = DEVICE, proven = true } = {}): SimulatedSession {
    const session = new SimulatedSession(
      device,
      transport,
      (data) => this.receivedBy(device).push(Buffer.from(data).toString()),
      proven,
    );
    this.#sessions.set(device, session);
    void session.closed.then(() => {
      if (this.#sessions.get(device) === session) this.#sessions.delete(device);
    });
    this.queue.onSession(session.admitted);
    return session;
  }

  session(device = DEVICE): SimulatedSession | undefined {
    return this.#sessions.get(device);
  }

  receivedBy(device = DEVICE): string[] {
    const texts = this.received.get(device) ?? [];
    this.received.set(device, texts);
    return texts;
  }

  send(text: string, request: Partial<SendRequest> = {}): Promise<OutboundRecord> {
    return this.queue.send(
      { device: DEVICE, data: Buffer.from(text), ttlMs: undefined, key: undefined, ...request },
      ADA,
    );
  }

  async waiting(device?: string): Promise<OutboundRecord[]> {
    const records: OutboundRecord[] = [];
    for await (const record of this.queue.list({ device })) records.push(record);
    return records;
  }

  #registry(): Pick<Registry, "device" | "audit" | "setting" | "putSetting"> {
    const unused = (): never => {
      throw new Error("not used here");
    };
    return {
      device: (id) => {
        const state = this.states.get(id);
        return state === undefined ? undefined : ({ id, state } as Device);
      },
      setting: async (name) => this.#settings.get(name),
      putSetting: async (name, value) => void this.#settings.set(name, value),
      audit: {
        appendSends: async (rows) => void this.audited.push(...rows),
        append: async (action, detail) => void this.appended.push({ action, detail }),
        headSeq: 0,
        appendRefusals: unused,
        rows: unused,
        verify: unused,
      },
    };
  }
}

const UNSEALED = {
  seal: (_id: number, _device: string, data: Uint8Array) => ({ sealed_by: null, data }),
  open: ({ data }: { readonly data: Uint8Array }) => data,
};
