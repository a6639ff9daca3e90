import { VirtualClock } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  BatchRunner,
  DEFAULT_RUNNER_LIMITS,
  type RunnerLimits,
  type RunnerParts,
} from "../../src/sinks/batch-runner.ts";
import { SinkError } from "../../src/sinks/sink.ts";

const clock = () => new VirtualClock();

class Trial {
  readonly clock: VirtualClock = clock();
  readonly batches: (readonly number[])[] = [];
  readonly signals: AbortSignal[] = [];
  /** When each batch came. */
  readonly times: number[] = [];
  readonly troubles: string[] = [];
  readonly runner: BatchRunner<number>;
  answer: (batch: readonly number[], signal: AbortSignal) => Promise<void> = async () => {};
  random = 1;

  constructor(limits: Partial<RunnerLimits> = {}, parts: Partial<RunnerParts<number>> = {}) {
    this.runner = new BatchRunner<number>({
      deliver: (batch, signal) => {
        this.batches.push(batch);
        this.signals.push(signal);
        this.times.push(this.clock.now());
        return this.answer(batch, signal);
      },
      sizeOf: () => 10,
      limits: { ...DEFAULT_RUNNER_LIMITS, ...limits },
      clock: this.clock,
      random: () => this.random,
      onTrouble: (message) => this.troubles.push(message),
      ...parts,
    });
  }

  offer(...items: number[]): void {
    for (const item of items) this.runner.offer(item);
  }

  get dropped(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.runner.statistics.dropped).filter(([, count]) => count > 0));
  }
}

const failing = (error: unknown) => () => Promise.reject(error);

describe("batches", () => {
  test("come in order, one at a time, with what came meanwhile in the next", async () => {
    const trial = new Trial({ batchItems: 3 });
    const ends: (() => void)[] = [];
    trial.answer = () => new Promise((resolve) => ends.push(resolve));
    trial.offer(1, 2);
    await trial.clock.elapse(0);
    trial.offer(3, 4, 5, 6);
    await trial.clock.elapse(0);
    expect(trial.batches).toEqual([[1, 2]]);
    expect(trial.runner.statistics).toMatchObject({ waiting: 6, delivered: 0 });
    for (let i = 0; i < 3; i++) {
      ends.shift()?.();
      await trial.clock.elapse(0);
    }
    expect(trial.batches).toEqual([[1, 2], [3, 4, 5], [6]]);
    expect(trial.runner.statistics).toMatchObject({ waiting: 0, delivered: 6, failures: 0, problem: undefined });
    expect(trial.troubles).toEqual([]);
  });

  test("offer() neither waits nor throws, whatever the sink does", async () => {
    const trial = new Trial({ items: 5, timeoutMs: 100 });
    trial.answer = () => {
      throw new TypeError("a fault");
    };
    trial.offer(1);
    await trial.clock.elapse(0);
    expect(trial.runner.statistics).toMatchObject({ failures: 1, problem: "a fault" });
    trial.answer = () => new Promise(() => {}); // hangs, deaf to its signal
    await trial.clock.elapse(5_000);
    trial.offer(2, 3, 4, 5, 6, 7, 8);
    await trial.clock.elapse(86_400_000);
    expect(trial.signals.at(-1)?.aborted).toBe(true);
    // One batch was under way twice, no other was begun beside it; the buffer is bounded.
    expect(trial.batches).toEqual([[1], [1]]);
    expect(trial.dropped).toEqual({ "buffer-full": 2 });
    expect(trial.runner.statistics.waiting).toBe(6);
  });
});

describe("a failed batch", () => {
  test("comes again, the same, after waits that double up to the longest, each from its upper half", async () => {
    const trial = new Trial({ firstRetryMs: 1_000, lastRetryMs: 8_000 });
    trial.answer = failing(new Error("away"));
    trial.offer(1, 2);
    await trial.clock.elapse(30_000);
    expect(trial.times).toEqual([0, 1_000, 3_000, 7_000, 15_000, 23_000]);
    trial.random = 0;
    await trial.clock.elapse(9_000);
    expect(trial.times.slice(6)).toEqual([31_000, 35_000, 39_000]);
    trial.answer = async () => {};
    trial.offer(3);
    await trial.clock.elapse(10_000);
    expect(new Set(trial.batches.slice(0, -1).map(String))).toEqual(new Set(["1,2"]));
    expect(trial.batches.at(-1)).toEqual([3]);
    expect(trial.troubles).toEqual(["cannot deliver: away", "delivers again; dropped so far: 0"]);
  });

  test("that hears its signal is tried again after the timeout", async () => {
    const trial = new Trial({ timeoutMs: 50 });
    trial.answer = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    trial.offer(1);
    await trial.clock.elapse(60);
    expect(trial.runner.statistics.problem).toBe("it took longer than 50 ms");
    trial.answer = async () => {};
    await trial.clock.elapse(1_000);
    expect(trial.runner.statistics).toMatchObject({ delivered: 1, failures: 1 });
  });

  test("waits as long as its receiver asks, up to ten minutes", async () => {
    const trial = new Trial();
    trial.answer = failing(new SinkError("slowly", { retry: true, retryAfterMs: 120_000 }));
    trial.offer(1);
    await trial.clock.elapse(0);
    trial.answer = failing(new SinkError("slowly", { retry: true, retryAfterMs: 1e9 }));
    await trial.clock.elapse(1_000_000);
    expect(trial.times).toEqual([0, 120_000, 720_000]);
  });

  test.each([
    ["refused", new SinkError("never", { retry: false }), 1],
    ["refused", Object.assign(new Error("never"), { retry: false }), 1],
    ["gave-up", new SinkError("later", { retry: true }), 4],
    ["sink-error", new TypeError("x is not a function"), 4],
    ["sink-error", "no error at all", 4],
    ["sink-error", null, 4],
  ])("is dropped as %s for %s", async (reason, error, attempts) => {
    const trial = new Trial({ retryForMs: 5_000, firstRetryMs: 1_000 });
    trial.answer = failing(error);
    trial.offer(1, 2);
    await trial.clock.elapse(20_000);
    expect(trial.batches).toHaveLength(attempts);
    expect(trial.dropped).toEqual({ [reason]: 2 });
    // What comes next has its own chance.
    trial.answer = async () => {};
    trial.offer(3);
    await trial.clock.elapse(0);
    expect(trial.runner.statistics).toMatchObject({ delivered: 1, waiting: 0 });
  });

  test("the oldest of those behind it go when there are too many", async () => {
    const trial = new Trial({ items: 3 });
    trial.answer = failing(new Error("away"));
    trial.offer(1);
    await trial.clock.elapse(0);
    trial.offer(2, 3, 4, 5, 6);
    trial.answer = async () => {};
    await trial.clock.elapse(60_000);
    expect(trial.batches.slice(1)).toEqual([[1], [4, 5, 6]]);
    expect(trial.dropped).toEqual({ "buffer-full": 2 });
    expect(trial.troubles).toContain("drops messages (buffer-full); the metrics count them");
  });
});

describe("close()", () => {
  test("hands on what waits, at once, also during a pause", async () => {
    let closed = 0;
    const trial = new Trial({ batchItems: 2 }, { close: async () => void closed++ });
    trial.answer = failing(new Error("away"));
    trial.offer(1, 2, 3, 4, 5);
    await trial.clock.elapse(10);
    trial.answer = async () => {};
    await Promise.all([trial.runner.close(), trial.clock.elapse(1)]);
    expect(trial.runner.statistics).toMatchObject({ delivered: 5, waiting: 0 });
    expect([closed, trial.dropped]).toEqual([1, {}]);
    trial.offer(6);
    expect(trial.dropped).toEqual({ shutdown: 1 });
    await trial.runner.close();
    expect(closed).toBe(1);
  });

  test("tries each once more when they fail, and counts them", async () => {
    const trial = new Trial({ batchItems: 2 });
    trial.answer = failing(new Error("away"));
    trial.offer(1, 2, 3);
    await Promise.all([trial.runner.close(), trial.clock.elapse(1)]);
    expect(trial.batches).toEqual([[1, 2], [3]]);
    expect(trial.dropped).toEqual({ shutdown: 3 });
  });

  test("waits so long and no longer for a sink that hangs, in delivering and in closing", async () => {
    const trial = new Trial({ closeMs: 700, batchItems: 1 }, { close: () => new Promise(() => {}) });
    trial.answer = () => new Promise(() => {});
    trial.offer(1, 2, 3);
    let done = false;
    void trial.runner.close().then(() => {
      done = true;
    });
    await trial.clock.elapse(1_199);
    expect(done).toBe(false);
    expect(trial.signals[0]?.aborted).toBe(true);
    await trial.clock.elapse(1);
    await trial.clock.elapse(0);
    expect(done).toBe(true);
    expect(trial.dropped).toEqual({ shutdown: 3 });
    expect(trial.batches).toHaveLength(1);
  });

  test("of a sink that cannot be closed says so", async () => {
    const trial = new Trial({}, { close: () => Promise.reject(new Error("stuck")) });
    await trial.runner.close();
    expect(trial.troubles).toEqual(["cannot be closed: stuck"]);
  });

  test("with real time: a deaf sink does not keep it", async () => {
    const { systemClock } = await import("usmp");
    const runner = new BatchRunner<number>({
      deliver: () => new Promise(() => {}),
      close: () => new Promise(() => {}),
      sizeOf: () => 1,
      limits: { ...DEFAULT_RUNNER_LIMITS, closeMs: 20 },
      clock: systemClock,
      random: Math.random,
      onTrouble: () => {},
    });
    onTestFinished(() => runner.close());
    runner.offer(1);
    await runner.close();
    expect(runner.statistics.dropped.shutdown).toBe(1);
  });
});
