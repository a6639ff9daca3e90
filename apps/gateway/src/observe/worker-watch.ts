import type { WorkerEvent } from "usmp";

export interface WorkerStates {
  /** 0: the gateway is one process. */
  readonly wanted: number;
  readonly listening: number;
  /** Worker processes that ended by themselves, each of which is started again. */
  readonly restarts: number;
}

/** Counts the worker processes that listen, by what `onWorker` tells of them. */
export class WorkerWatch implements WorkerStates {
  readonly wanted: number;
  readonly #listening: Set<number> = new Set();
  #restarts = 0;

  constructor(workers: number | undefined) {
    this.wanted = workers === undefined || workers === 1 ? 0 : workers;
  }

  get listening(): number {
    return this.#listening.size;
  }

  get restarts(): number {
    return this.#restarts;
  }

  note({ type, worker }: WorkerEvent): void {
    if (type === "started") this.#listening.add(worker);
    else {
      this.#listening.delete(worker);
      this.#restarts++;
    }
  }
}
