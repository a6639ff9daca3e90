import { GatewayError } from "../../errors.ts";
import type { DeviceId } from "../../records.ts";
import type { MessageSettings, OutboundRecord } from "../messages.ts";
import type { Backlog } from "./queue-store.ts";

type Limits = Pick<MessageSettings, "queuePerDevice" | "queueBytesPerDevice">;

interface Counts {
  messages: number;
  bytes: number;
  /** On their way to the disk. */
  arriving: number;
  arrivingBytes: number;
}

/** How much waits for whom: all that is in memory of a queue, whatever its length. Devices without a message cost nothing. */
export class Backlogs {
  readonly #limits: Limits;
  readonly #counts: Map<DeviceId, Counts> = new Map();
  #messages = 0;
  #bytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get devices(): Iterable<DeviceId> {
    return this.#counts.keys();
  }

  /** What waits on the disk, sent ones included. */
  of(device: DeviceId): number {
    return this.#counts.get(device)?.messages ?? 0;
  }

  /** What the database holds; what is on its way there stays. */
  load(stored: readonly Backlog[]): void {
    this.#messages = 0;
    this.#bytes = 0;
    for (const counts of this.#counts.values()) Object.assign(counts, { messages: 0, bytes: 0 });
    for (const { device, messages, bytes } of stored) this.#add(device, messages, bytes);
    for (const device of this.#counts.keys()) this.#forgetEmpty(device);
  }

  /** Keeps room for one message. Throws GatewayError "queue-full". */
  reserve(device: DeviceId, bytes: number): void {
    const counts = this.#entry(device);
    const { queuePerDevice, queueBytesPerDevice } = this.#limits;
    try {
      if (counts.messages + counts.arriving >= queuePerDevice)
        throw full(device, `${queuePerDevice} messages`, "queue-per-device");
      if (counts.bytes + counts.arrivingBytes + bytes > queueBytesPerDevice)
        throw full(device, `${queueBytesPerDevice} bytes`, "queue-bytes-per-device");
    } catch (error) {
      this.#forgetEmpty(device);
      throw error;
    }
    counts.arriving++;
    counts.arrivingBytes += bytes;
  }

  /** It has arrived, or has not: either way it needs its reserved room no longer. */
  release(device: DeviceId, bytes: number): void {
    const counts = this.#entry(device);
    counts.arriving--;
    counts.arrivingBytes -= bytes;
    this.#forgetEmpty(device);
  }

  noteArrived({ device, bytes }: OutboundRecord): void {
    this.#add(device, 1, bytes);
  }

  noteEnded({ device, bytes }: OutboundRecord): void {
    this.#add(device, -1, -bytes);
    this.#forgetEmpty(device);
  }

  #add(device: DeviceId, messages: number, bytes: number): void {
    const counts = this.#entry(device);
    counts.messages += messages;
    counts.bytes += bytes;
    this.#messages += messages;
    this.#bytes += bytes;
  }

  #entry(device: DeviceId): Counts {
    let counts = this.#counts.get(device);
    if (counts === undefined) {
      counts = { messages: 0, bytes: 0, arriving: 0, arrivingBytes: 0 };
      this.#counts.set(device, counts);
    }
    return counts;
  }

  #forgetEmpty(device: DeviceId): void {
    const counts = this.#counts.get(device);
    if (counts !== undefined && counts.messages <= 0 && counts.arriving <= 0) this.#counts.delete(device);
  }
}

function full(device: DeviceId, limit: string, flag: string): GatewayError {
  return new GatewayError(
    "queue-full",
    `the queue of ${device} is full: it may hold ${limit}; wait until the device has taken some, take some back with "usmp device cancel NUMBER" ` +
      `("usmp device queue ${device}" lists them), or start the gateway with a higher --${flag}`,
  );
}
