import type { SeededRandom } from "@usmp/testkit";
import { seeds, withSeed } from "@usmp/testkit";
import { expect, test } from "vitest";
import type { OutboundRow } from "../../src/messages/schema.ts";
import { ADA, onEachDatabase, type TestHome } from "../support/registries.ts";
import { TestQueue } from "../support/outbound.ts";
import { Faults } from "./faulty-store.ts";

const SCHEDULES = Math.ceil(Number(process.env["USMP_SCHEDULES"] ?? 40_000) / 1_000);
const STEPS = 120;
const DEVICES = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"] as const;
const LONG_MS = 3_600_000_000;

onEachDatabase("any order of sending, connecting, losing, expiring, failing and crashing", (newHome) => {
  test(`loses nothing, keeps the order, and marks what may come twice, in ${SCHEDULES} schedules`, async () => {
    for (const seed of seeds(SCHEDULES)) {
      await withSeed(seed, async (random) => {
        const schedule = await Schedule.begin(newHome(), random);
        for (let step = 0; step < STEPS; step++) await schedule.step();
        await schedule.finish();
        await schedule.judge();
        await schedule.end();
      });
    }
  }, 600_000);
});

class Schedule {
  readonly #random: SeededRandom;
  readonly #test: TestQueue;
  #faults: Faults;
  #sent = 0;
  /** Text by number, of all that was promised. */
  readonly #promised: Map<number, { readonly device: string; readonly text: string }> = new Map();
  readonly #keyed: { readonly device: string; readonly text: string; readonly key: string }[] = [];
  /** What its device had received when a message was taken back. */
  readonly #cancelled: Map<number, number> = new Map();

  private constructor(test: TestQueue, random: SeededRandom, faults: Faults) {
    this.#test = test;
    this.#random = random;
    this.#faults = faults;
  }

  static async begin(home: TestHome, random: SeededRandom): Promise<Schedule> {
    let schedule: Schedule | undefined;
    const faults = new Faults(random.fork());
    const test = await TestQueue.open(home, {
      settings: { drainPerSecond: random.pick([3, 20, 200]), queuePerDevice: 40 },
      wrap: (store) => (schedule === undefined ? faults : schedule.#faults).wrap(store),
    });
    for (const device of DEVICES) test.states.set(device, "active");
    schedule = new Schedule(test, random, faults);
    return schedule;
  }

  async step(): Promise<void> {
    const random = this.#random;
    const device = random.pick(DEVICES);
    const session = this.#test.session(device);
    const dice = random.int(100);
    if (dice < 30) this.#send(device);
    else if (dice < 40) this.#connect(device);
    else if (dice < 60) session?.arrive(random.between(1, 6));
    else if (dice < 72) session?.acknowledge();
    else if (dice < 78) session?.cut(random.int(3));
    else if (dice < 88) await this.#test.home.time.pass(random.pick([1, 100, 500, 3_000]));
    else if (dice < 91) void this.#test.queue.keepHouse();
    else if (dice < 94) this.#cancel();
    else if (dice < 97) this.#faults.trouble = random.pick([0, 0, 0.3, 1]);
    else await this.#crash();
    for (let turns = random.int(4); turns > 0; turns--) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** Everything works again, every device is there, and all that waits is delivered or over. */
  async finish(): Promise<void> {
    this.#faults.trouble = 0;
    for (const device of DEVICES) this.#test.session(device)?.cut();
    await this.#crash();
    for (const device of DEVICES) this.#test.connect(this.#random.pick(["tcp", "udp"]), { device });
    const patience = Date.now() + 20_000;
    while (this.#test.queue.depth.messages > 0) {
      if (Date.now() > patience) throw new Error(`${this.#test.queue.depth.messages} messages are not delivered`);
      for (const device of DEVICES) {
        this.#test.session(device)?.arrive();
        this.#test.session(device)?.acknowledge();
      }
      await this.#test.home.time.pass(500);
      await this.#test.queue.keepHouse();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async judge(): Promise<void> {
    const rows = await this.#test.storage.db.selectFrom("messages_out").selectAll().orderBy("id").execute();
    const stored = new Map(rows.map((row) => [row.id, row]));
    for (const [id, { device, text }] of this.#promised) {
      expect(stored.get(id), `${text} was promised as ${id}`).toMatchObject({ device });
      expect(Buffer.from(stored.get(id)?.data ?? []).toString()).toBe(text);
    }
    for (const device of DEVICES)
      this.#judgeDevice(
        device,
        rows.filter((row) => row.device === device),
      );
    for (const { device, text, key } of this.#keyed) {
      const same = rows.filter((row) => row.device === device && row.send_key === key);
      expect(same.length, `messages of key ${key}: ${text}`).toBeLessThanOrEqual(1);
    }
    // Whatever happened to the database meanwhile: what is in memory is what it holds.
    expect(this.#test.queue.depth).toMatchObject({ messages: 0, bytes: 0 });
  }

  async end(): Promise<void> {
    await this.#test.queue.close();
    await this.#test.storage.close();
    await this.#test.home.remove();
  }

  #judgeDevice(device: string, rows: readonly OutboundRow[]): void {
    const received = this.#test.receivedBy(device);
    const idOf = new Map(rows.map(({ id, data }) => [Buffer.from(data).toString(), id]));
    const firsts = [...new Set(received)].map((text) => idOf.get(text) ?? Number.NaN);
    expect(firsts, `order at ${device}`).toEqual([...firsts].sort((a, b) => a - b));
    for (const row of rows) {
      const text = Buffer.from(row.data).toString();
      const times = received.filter((each) => each === text).length;
      const what = `${text} (${row.state}, attempts ${row.attempts}, maybe twice ${row.maybe_twice}) came ${times} times`;
      expect(["confirmed", "expired", "cancelled"], what).toContain(row.state);
      expect(times, what).toBeLessThanOrEqual(row.attempts);
      if (row.state === "confirmed") expect(times, what).toBeGreaterThanOrEqual(1);
      if (times > 1) expect(row.maybe_twice, what).toBe(1);
      const before = this.#cancelled.get(row.id);
      if (before !== undefined) expect(received.slice(before), what).not.toContain(text);
    }
  }

  #send(device: string): void {
    const random = this.#random;
    const again = random.chance(0.1) && this.#keyed.length > 0 ? random.pick(this.#keyed) : undefined;
    const text = again?.text ?? `${this.#sent++}`;
    const key = again?.key ?? (random.chance(0.3) ? `key-${text}` : undefined);
    const to = again?.device ?? device;
    if (again === undefined && key !== undefined) this.#keyed.push({ device, text, key });
    const ttlMs = random.chance(0.2) ? random.between(1, 10_000) : LONG_MS;
    this.#test.send(text, { device: to, key, ttlMs }).then(
      ({ id }) => this.#promised.set(id, { device: to, text }),
      (error: { code?: string }) => expect(["database", "queue-full"]).toContain(error.code),
    );
  }

  /** A device has one session that counts; the one before ends, which the gateway notices then or a little later. */
  #connect(device: string): void {
    const before = this.#test.session(device);
    this.#test.connect(this.#random.pick(["tcp", "udp"]), { device });
    before?.cut(this.#random.int(3));
  }

  #cancel(): void {
    const id = this.#random.pick([...this.#promised.keys(), 0]);
    const { device } = this.#promised.get(id) ?? { device: DEVICES[0] };
    this.#test.queue.cancel(id, ADA).then(
      () => this.#cancelled.set(id, this.#test.receivedBy(device).length),
      () => {},
    );
  }

  /** The process is killed; of what it had written to its sockets some arrives all the same. Another starts. */
  async #crash(): Promise<void> {
    this.#faults.crash();
    for (const device of DEVICES) {
      const session = this.#test.session(device);
      session?.arrive(this.#random.int(4));
      session?.cut();
    }
    this.#faults = new Faults(this.#random.fork());
    await this.#test.start();
  }
}
