import type { SessionView } from "@usmp/gateway";
import { expect, test } from "vitest";
import { monitorTable, NO_LIMIT } from "../../src/monitor/table.ts";

const NOW = new Date(2026, 0, 2, 3, 4, 5);

function session(number: number, changes: Partial<SessionView> = {}): SessionView {
  return {
    device: `02:00:00:00:00:${String(number).padStart(2, "0")}`,
    name: null,
    session: "ab".repeat(16),
    transport: "udp",
    peer: `192.0.2.${number}:40000`,
    generation: 1,
    since: NOW.toISOString(),
    lastSeenAt: NOW.toISOString(),
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    rate: 0,
    roundTripMs: null,
    loss: 0,
    ...changes,
  };
}

const ago = (seconds: number): string => new Date(NOW.getTime() - seconds * 1_000).toISOString();

test("a row has everything, the busiest is first, and numbers stand under each other", () => {
  const lines = monitorTable(
    [
      session(1, { name: "pump", rate: 1.25, lastSeenAt: ago(12), roundTripMs: 0.4, loss: 0.0123 }),
      session(2, {
        transport: "tcp",
        rate: 120.4,
        generation: 12,
        lastSeenAt: ago(300),
        roundTripMs: 1_234,
        loss: null,
      }),
      session(3, { peer: "[2001:db8::1]:40000", lastSeenAt: ago(-5) }),
    ],
    NOW,
    NO_LIMIT,
  );
  expect(lines).toEqual([
    "03:04:05  3 sessions (1 tcp, 2 udp)  122/s messages",
    "",
    "device             address              by   key   seen    rate      rtt    loss  name",
    "02:00:00:00:00:02  192.0.2.2:40000      tcp   12  5 min   120/s  1234 ms       -",
    "02:00:00:00:00:01  192.0.2.1:40000      udp    1   12 s  1.25/s  0.40 ms  1.23 %  pump",
    "02:00:00:00:00:03  [2001:db8::1]:40000  udp    1    now     0/s        -     0 %",
  ]);
});

test("none and one", () => {
  expect(monitorTable([], NOW, NO_LIMIT)).toEqual([
    "03:04:05  0 sessions (0 tcp, 0 udp)  0/s messages",
    "",
    "device             address          by   key   seen    rate      rtt    loss  name",
  ]);
  expect(monitorTable([session(1)], NOW, NO_LIMIT)[0]).toContain("1 session (0 tcp, 1 udp)");
});

test("a thousand sessions fit into a screen: the busiest, and how many are left out", () => {
  const all = Array.from({ length: 1_000 }, (_, number) => session(number % 100, { rate: number }));
  for (const rows of [24, 10, 5]) {
    const lines = monitorTable(all, NOW, { columns: 80, rows });
    expect(lines).toHaveLength(rows);
    expect(lines[3]).toContain("999/s");
    expect(lines.at(-1)).toBe(`… and ${1_000 - (rows - 4)} more that are less busy`);
  }
  const exact = monitorTable(all.slice(0, 21), NOW, { columns: 80, rows: 24 });
  expect([exact.length, exact.some((line) => line.includes("more that"))]).toEqual([24, false]);
});

test("on a narrow or a low terminal lines are cut, and nothing breaks", () => {
  const lines = monitorTable([session(1, { name: "a long name of a pump" }), session(2)], NOW, {
    columns: 30,
    rows: 1,
  });
  for (const line of lines) expect([...line].length).toBeLessThanOrEqual(30);
  expect(lines[3]).toBe("02:00:00:00:00:01  192.0.2.1:…");
});

test("hostile names are shown, and do nothing", () => {
  const name = "a\u001b[2J\u0007\u202eb\u2028c\u{1f6b0}水";
  const [, , , row] = monitorTable([session(1, { name })], NOW, NO_LIMIT);
  expect(row).toContain("a\\u{1b}[2J\\u{7}\\u{202e}b\\u{2028}c🚰水");
});
