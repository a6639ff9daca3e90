import { addMs } from "@usmp/protocol";
import type { Clock } from "usmp";
import type { DeviceId } from "../records.ts";

/** First proofs that come together are written together: a fleet that reconnects after a rotation is thousands at once. */
const GATHER_MS = 20;

interface Waiting {
  readonly generation: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers first proofs of generations into few changes. What could not be written is kept for retry(). */
export class ProofQueue {
  readonly #write: (proofs: ReadonlyMap<DeviceId, number>) => Promise<void>;
  readonly #clock: Clock;
  #waiting: Map<DeviceId, Waiting> = new Map();
  #failed: Map<DeviceId, number> = new Map();
  #cancel: (() => void) | undefined;

  constructor(write: (proofs: ReadonlyMap<DeviceId, number>) => Promise<void>, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** Resolves when the proof is durable. */
  add(id: DeviceId, generation: number): Promise<void> {
    // A proof of the key before says nothing beside one of its successor, which ends it.
    if ((this.#waiting.get(id)?.generation ?? 0) > generation) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.get(id)?.resolve(); // the later proof says all
      this.#waiting.set(id, { generation, resolve, reject });
      this.#cancel ??= this.#clock.schedule(addMs(this.#clock.now(), GATHER_MS), () => void this.#flush());
    });
  }

  /** Writes what failed before. Rejects when it fails again. */
  async retry(): Promise<void> {
    if (this.#failed.size === 0) return;
    const failed = this.#failed;
    this.#failed = new Map();
    try {
      await this.#write(failed);
    } catch (error) {
      for (const [id, generation] of failed) if (!this.#failed.has(id)) this.#failed.set(id, generation);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.retry().catch(() => {});
  }

  async #flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    const waiting = this.#waiting;
    if (waiting.size === 0) return;
    this.#waiting = new Map();
    const proofs = new Map([...waiting].map(([id, { generation }]) => [id, generation]));
    try {
      await this.#write(proofs);
      for (const { resolve } of waiting.values()) resolve();
    } catch (error) {
      for (const [id, generation] of proofs) this.#failed.set(id, Math.max(generation, this.#failed.get(id) ?? 0));
      for (const { reject } of waiting.values()) reject(error);
    }
  }
}
