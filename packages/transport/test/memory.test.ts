import { MemoryNetwork, memoryDatagramPair, memoryStreamPair } from "@usmp/transport";
import { describe, expect, test } from "vitest";
import { DatagramRecorder, StreamRecorder } from "./recorder.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Tasks run when the test says so: nothing may happen before. */
class ManualScheduler {
  readonly #tasks: (() => void)[] = [];
  readonly schedule = (task: () => void): void => {
    this.#tasks.push(task);
  };

  run(): void {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) task();
  }
}

describe("a pair of streams in memory", () => {
  test("delivers by microtask unless told otherwise", async () => {
    const [a, b] = memoryStreamPair();
    const recorder = new StreamRecorder();
    b.start(recorder);
    a.start(new StreamRecorder());
    a.write(bytes("hello"));
    expect(recorder.calls).toEqual([]);
    await recorder.receivedAtLeast(5);
    expect(recorder.received.toString()).toBe("hello");
    expect(a.peer).not.toEqual(b.peer);
  });

  test("keeps what was written before start(), in order, then the end", () => {
    const { a, b, scheduler } = manualPair();
    a.write(bytes("one "));
    a.write(bytes("two"));
    a.end();
    scheduler.run();
    const late = start(b);
    start(a);
    expect(late.calls).toEqual([]);
    scheduler.run();
    expect(late.received.toString()).toBe("one two");
    expect(late.calls).toEqual(["data", "data", "end", "close"]);
  });

  test("holds the writer back above the high-water mark until all was read", () => {
    const { a, b, scheduler } = manualPair(10);
    const [aSide, bSide] = [start(a), start(b)];
    b.pause();
    expect(a.write(bytes("0123456789"))).toBe(true);
    expect(a.write(bytes("x"))).toBe(false);
    scheduler.run();
    expect([...aSide.calls, ...bSide.calls]).toEqual([]);
    b.resume();
    expect(bSide.calls).toEqual([]);
    scheduler.run();
    expect(bSide.received.toString()).toBe("0123456789x");
    expect(aSide.calls).toEqual(["drain"]);
    expect(a.write(bytes("y"))).toBe(true);
  });

  test("stops at once when paused from inside onData", () => {
    const { a, b, scheduler } = manualPair();
    start(a);
    const recorder = new StreamRecorder();
    const record = recorder.onData.bind(recorder);
    recorder.onData = (chunk) => {
      record(chunk);
      b.pause();
    };
    b.start(recorder);
    a.write(bytes("1"));
    a.write(bytes("2"));
    scheduler.run();
    expect(recorder.received.toString()).toBe("1");
    b.resume();
    scheduler.run();
    expect(recorder.received.toString()).toBe("12");
  });

  test("lets bytes written in onEnd arrive before both ends close", () => {
    const { a, b, scheduler } = manualPair();
    const aSide = start(a);
    const bSide = new StreamRecorder();
    bSide.onEnd = () => {
      b.write(bytes("last words"));
    };
    b.start(bSide);
    a.pause();
    a.end();
    scheduler.run();
    expect(aSide.received.toString()).toBe("last words");
    expect(aSide.calls).toEqual(["data", "end", "close"]);
    expect(bSide.calls).toEqual(["close"]);
  });

  test("closes both ends after destroy(), once, having delivered what was written before", () => {
    const { a, b, scheduler } = manualPair();
    const [aSide, bSide] = [start(a), start(b)];
    a.write(bytes("sent"));
    b.write(bytes("never read"));
    a.destroy();
    a.destroy();
    expect(a.write(bytes("late"))).toBe(false);
    expect(aSide.calls).toEqual([]);
    scheduler.run();
    expect(aSide.calls).toEqual(["close"]);
    expect(bSide.calls).toEqual(["data", "end", "close"]);
    expect(b.write(bytes("late"))).toBe(false);
  });

  test("tells handlers that are set later of a close", () => {
    const { a, b, scheduler } = manualPair();
    a.destroy();
    scheduler.run();
    const [late, other] = [start(a), start(b)];
    scheduler.run();
    expect(late.calls).toEqual(["close"]);
    expect(other.calls).toEqual(["end", "close"]);
  });
});

describe("datagram sockets in memory", () => {
  test("deliver whole datagrams with their sender, later", async () => {
    const [a, b] = memoryDatagramPair();
    const recorder = new DatagramRecorder();
    b.start(recorder);
    a.send(bytes("one"), b.address);
    a.send(bytes("two"), b.address);
    expect(recorder.datagrams).toEqual([]);
    await recorder.receivedAtLeast(2);
    expect(recorder.datagrams).toEqual([
      { text: "one", from: a.address },
      { text: "two", from: a.address },
    ]);
  });

  test("lose what is sent to a port that nobody has, and refuse to share a port", () => {
    const scheduler = new ManualScheduler();
    const network = new MemoryNetwork(scheduler.schedule);
    const a = network.bind(1);
    a.send(bytes("x"), { host: "memory", port: 9 });
    scheduler.run();
    const late = network.bind(9);
    const recorder = new DatagramRecorder();
    late.start(recorder);
    scheduler.run();
    expect(recorder.datagrams).toEqual([]);
    expect(() => network.bind(9)).toThrow("port 9 of this memory network is taken");
  });

  test("free their port and are told of their close once", () => {
    const scheduler = new ManualScheduler();
    const network = new MemoryNetwork(scheduler.schedule);
    const a = network.bind(1);
    const recorder = new DatagramRecorder();
    a.start(recorder);
    a.close();
    a.close();
    a.send(bytes("late"), { host: "memory", port: 1 });
    const heir = network.bind(1);
    const heirSide = new DatagramRecorder();
    heir.start(heirSide);
    expect(recorder.closeCalls).toBe(0);
    scheduler.run();
    expect(recorder).toMatchObject({ closeCalls: 1, closeError: undefined });
    expect(heirSide.datagrams).toEqual([]);
  });
});

function manualPair(highWaterMark?: number) {
  const scheduler = new ManualScheduler();
  const [a, b] = memoryStreamPair({ scheduler: scheduler.schedule, highWaterMark });
  return { a, b, scheduler };
}

function start(transport: { start(handlers: StreamRecorder): void }): StreamRecorder {
  const recorder = new StreamRecorder();
  transport.start(recorder);
  return recorder;
}
