import { UsageError } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { networkChanges, systemClock, type Wake } from "usmp";
import { describe, expect, test } from "vitest";

describe("the watch on this host's addresses", () => {
  test("tells of a change, not of an order, and looks only while somebody listens", async () => {
    const clock = new VirtualClock();
    let addresses = ["eth0 192.0.2.1", "wlan0 198.51.100.7"];
    let looks = 0;
    const source = networkChanges({
      clock,
      everyMs: 1_000,
      addresses: () => {
        looks++;
        return addresses;
      },
    });
    expect([looks, clock.pendingAlarms]).toEqual([0, 0]);
    const heard: Wake[] = [];
    const iterator = source[Symbol.asyncIterator]();
    const listening = (async () => {
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) heard.push(next.value);
    })();
    await clock.elapse(5_000);
    addresses = [...addresses].reverse();
    await clock.elapse(5_000);
    expect(heard).toEqual([]);
    addresses = ["wlan0 203.0.113.9"];
    await clock.elapse(5_000);
    expect(heard).toEqual([{ reason: "network-changed" }]);
    await iterator.return?.();
    await listening;
    const before = looks;
    await clock.elapse(60_000);
    expect([looks, clock.pendingAlarms]).toEqual([before, 0]);
  });

  test("is one for all links of a clock, and serves each until it leaves", async () => {
    const clock = new VirtualClock();
    const iterators = Array.from({ length: 100 }, () => networkChanges({ clock })[Symbol.asyncIterator]());
    expect(clock.pendingAlarms).toBe(1);
    for (const iterator of iterators.slice(1)) await iterator.return?.();
    expect(clock.pendingAlarms).toBe(1);
    await clock.elapse(20_000);
    await iterators[0]?.return?.();
    expect(clock.pendingAlarms).toBe(0);
  });

  test("knows the system's own addresses, and refuses a pace that is none", async () => {
    const iterator = networkChanges({ clock: systemClock })[Symbol.asyncIterator]();
    await iterator.return?.();
    expect(() => networkChanges({ everyMs: 0 })).toThrow(UsageError);
  });
});
