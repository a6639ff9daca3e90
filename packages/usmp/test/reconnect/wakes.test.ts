import type { Wake } from "usmp";
import { describe, expect, test } from "vitest";
import { begin } from "../support/links.ts";
import { TRANSPORTS } from "../support/loopback.ts";

describe("told that trying now is worth it, a link", () => {
  test("does at once instead of waiting, but not twice in a second", async () => {
    const { link, network, elapse } = await begin(
      "tcp",
      { backoff: { initialMs: 300_000, maxMs: 300_000 } },
      "refuses",
    );
    await elapse(5_000);
    expect(network.dialedAt).toHaveLength(1);
    link.reconnectNow();
    await elapse(100);
    expect(network.dialedAt).toEqual([0, 5_000]);
    for (let i = 0; i < 100; i++) {
      link.reconnectNow();
      await elapse(100);
    }
    expect(network.dialedAt.length).toBeGreaterThan(9);
    expect(network.dialedAt.length).toBeLessThan(14);
  });

  test("begins an attempt anew that has had more than a second", async () => {
    const { link, network, elapse } = await begin("tcp", {}, "swallows");
    await elapse(3_000);
    network.mode = "serves";
    link.reconnectNow();
    await elapse(100);
    expect(network.dialedAt).toEqual([0, 3_000]);
    expect(link.state.name).toBe("connected");
  });

  test.each(TRANSPORTS)(
    "asks its peer for a sign of life over %s, and replaces a session that gives none",
    async (transport) => {
      const { link, network, elapse } = await begin(transport, { deadAfterMs: 60_000 });
      await elapse(10_000);
      link.reconnectNow();
      await elapse(6_000);
      expect(network.sessions).toHaveLength(1);
      network.cutOff();
      network.mode = "serves";
      link.reconnectNow();
      await elapse(5_000);
      expect(link.statistics.ends).toEqual({ "peer-silent": 1 });
      await elapse(10_000);
      expect(network.sessions).toHaveLength(2);
      expect(link.state.name).toBe("connected");
    },
  );

  test("does not take its own rekey for the peer's life", async () => {
    const { link, network, elapse } = await begin("tcp", { deadAfterMs: 6_000 });
    await elapse(10_000);
    network.cutOff();
    link.reconnectNow();
    for (let i = 0; i < 10; i++) {
      void link.session?.rekey().catch(() => {});
      await elapse(1_000);
    }
    expect(link.statistics.ends).toEqual({ "peer-silent": 1 });
  });

  test("hears every source, spreads where a source says so, and outlives one that fails", async () => {
    const announced = new Announcements();
    const failing: AsyncIterable<Wake> = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("no such socket")) }),
    };
    const broken = {
      [Symbol.asyncIterator](): AsyncIterator<Wake> {
        throw new Error("no such daemon");
      },
    };
    const { link, network, elapse } = await begin(
      "tcp",
      { wake: [failing, broken, announced], backoff: { initialMs: 300_000, maxMs: 300_000 } },
      "refuses",
    );
    await elapse(5_000);
    network.mode = "serves";
    announced.push({ reason: "announced", spreadMs: 4_000 });
    await elapse(4_500);
    const second = network.dialedAt[1];
    expect(second).toBeGreaterThan(5_000);
    expect(second).toBeLessThanOrEqual(9_000);
    expect(link.statistics).toMatchObject({ wakes: 1, wakeFailures: 2, sessions: 1 });
    link.abort();
    await elapse(0);
    expect(announced.ended).toBe(true);
  });
});

class Announcements implements AsyncIterable<Wake> {
  ended = false;
  #give: ((wake: IteratorResult<Wake>) => void) | undefined;

  push(value: Wake): void {
    this.#give?.({ done: false, value });
  }

  [Symbol.asyncIterator](): AsyncIterator<Wake> {
    return {
      next: () =>
        new Promise((resolve) => {
          this.#give = resolve;
        }),
      return: () => {
        this.ended = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}
