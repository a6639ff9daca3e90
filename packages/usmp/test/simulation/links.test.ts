import { defaultCrypto } from "@usmp/crypto";
import { type SeededRandom, seededCrypto, seeds, VirtualClock, withSeed } from "@usmp/testkit";
import { type Delivery, type Link, OutboxFullError, type ReconnectOptions } from "usmp";
import { expect, test } from "vitest";
import { textOf } from "../support/loopback.ts";
import { SimulatedNetwork } from "../support/simulated-network.ts";

/** A program of a link is worth a thousand schedules of one session: `npm run long` counts it so. */
const SCHEDULES = Math.ceil(Number(process.env["USMP_SCHEDULES"] ?? 40_000) / 1_000);
const STEPS = 150;
/** Longer than every limit below together: whatever can happen has happened. */
const SETTLED_MS = 300_000;

test("a link loses no message silently, doubles none unasked, and keeps their order, whatever its server and its network do", async () => {
  const sum = { sessions: 0, delivered: 0, unknown: 0, resent: 0, dropped: 0 };
  for (const seed of seeds(SCHEDULES)) {
    await withSeed(seed, async (random) => {
      const { sessions, delivered, unknown, resent, dropped } = await new LinkProgram(random).run();
      sum.sessions += sessions;
      sum.delivered += delivered;
      sum.unknown += unknown;
      sum.resent += resent;
      sum.dropped += dropped["outbox-full"] + dropped["link-closed"];
    });
  }
  console.info(`link schedules: ${JSON.stringify(sum)}`);
  // Each fate was seen, so that each oracle had something to judge.
  for (const count of Object.values(sum)) expect(count).toBeGreaterThan(0);
});

/** A random life of one link: messages both ways, restarts, cuts, half-open paths, stops of the process, wakes, and its end. */
class LinkProgram {
  readonly #random: SeededRandom;
  readonly #network: SimulatedNetwork;
  readonly #transport: "tcp" | "udp";
  readonly #options: ReconnectOptions;
  readonly #deliveries: Delivery[] = [];
  /** In the order of arrival, doubles included. */
  readonly #atServer: number[] = [];
  readonly #atLink: string[] = [];
  /** What the server was told that the link has: by UTACK. */
  readonly #acknowledged: string[] = [];
  #sentByServer = 0;
  #refused = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#transport = random.pick(["tcp", "udp"]);
    this.#network = new SimulatedNetwork(new VirtualClock(), {
      latencyMs: random.pick([1, 20, 200]),
      seed: random.uint32(),
      settings: { keepaliveMs: 5_000, idleTimeoutMs: 20_000, handshakeTimeoutMs: 5_000 },
    });
    this.#options = {
      backoff: { initialMs: random.pick([100, 2_000]), maxMs: 8_000 },
      deadAfterMs: random.pick([2_000, 8_000]),
      stableAfterMs: 10_000,
      resendUnknown: random.chance(0.5),
      outbox: {
        messages: random.pick([3, 50, 1_000]),
        whenFull: random.pick(["drop-oldest", "drop-newest", "refuse"]),
      },
    };
    this.#network.onAdmit = (session) => {
      void (async () => {
        for await (const message of session) this.#atServer.push(Number(textOf(message)));
      })();
    };
  }

  async run(): Promise<Link["statistics"]> {
    const crypto = seededCrypto(defaultCrypto(), this.#random.fork());
    const link = await this.#network.link(this.#transport, this.#options, { crypto });
    const reading = this.#read(link);
    for (let step = 0; step < STEPS; step++) {
      this.#act(link);
      await this.#network.clock.elapse(this.#random.int(this.#random.chance(0.1) ? 10_000 : 500));
    }
    if (this.#random.chance(0.7)) {
      this.#network.mode = "serves";
      await this.#network.clock.elapse(SETTLED_MS);
      expect(link.state.name).toBe("connected");
      expect(link.statistics.pending).toBe(0);
    }
    if (this.#random.chance(0.5)) link.abort();
    else {
      const closing = link.close();
      await this.#network.clock.elapse(3_000);
      await closing;
    }
    await this.#network.clock.elapse(SETTLED_MS);
    await reading;
    await this.#judge(link);
    expect(this.#network.clock.pendingAlarms).toBe(0);
    return link.statistics;
  }

  #act(link: Link): void {
    const random = this.#random;
    const acts: readonly (readonly [number, () => void])[] = [
      [40, () => this.#send(link, random.between(1, 5))],
      [20, () => this.#sendBack()],
      [4, () => this.#network.kill()],
      [4, () => this.#network.cutOff()],
      [3, () => this.#network.muteServer()],
      [3, () => this.#network.clock.jump(random.int(120_000))],
      [4, () => link.reconnectNow()],
      [1, () => link.session?.abort()],
      [1, () => void link.session?.close()],
      [
        20,
        () => {
          this.#network.mode = "serves";
        },
      ],
    ];
    let drawn = random.int(acts.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of acts) {
      if (drawn < weight) return act();
      drawn -= weight;
    }
  }

  #send(link: Link, count: number): void {
    for (let i = 0; i < count; i++) {
      try {
        this.#deliveries.push(link.send(String(this.#deliveries.length)));
      } catch (error) {
        if (!(error instanceof OutboxFullError)) throw error;
        this.#refused++;
        return;
      }
    }
  }

  #sendBack(): void {
    const session = this.#network.sessions.at(-1);
    if (session === undefined) return;
    const text = String(this.#sentByServer++);
    session.send(text).then(
      () => this.#acknowledged.push(text),
      () => {},
    );
  }

  async #read(link: Link): Promise<void> {
    for await (const message of link) this.#atLink.push(textOf(message) as string);
  }

  async #judge(link: Link): Promise<void> {
    const fates = await Promise.all(this.#deliveries.map(({ outcome }) => outcome));
    const arrived = new Set(this.#atServer);
    fates.forEach(({ fate }, number) => {
      if (fate === "delivered") expect(arrived.has(number), `message ${number} was called delivered`).toBe(true);
      if (fate === "dropped") expect(arrived.has(number), `message ${number} was called dropped`).toBe(false);
    });
    if (!this.#options.resendUnknown) expect(this.#atServer).toEqual([...arrived]);
    // First arrivals keep the order of the calls.
    expect([...arrived]).toEqual([...arrived].sort((a, b) => a - b));
    const count = (fate: string): number => fates.filter((each) => each.fate === fate).length;
    const { delivered, unknown, dropped, refused, received } = link.statistics;
    const droppedInAll = dropped["outbox-full"] + dropped["link-closed"] + dropped.aborted;
    expect([delivered, unknown, droppedInAll]).toEqual([count("delivered"), count("unknown"), count("dropped")]);
    expect(refused).toBe(this.#refused);
    // What the link received: once, in order, and over UDP all that it acknowledged.
    expect(received).toBe(this.#atLink.length);
    expect(this.#atLink).toEqual([...new Set(this.#atLink)].sort((a, b) => Number(a) - Number(b)));
    if (this.#transport === "udp") expect(this.#atLink).toEqual(expect.arrayContaining(this.#acknowledged));
  }
}
