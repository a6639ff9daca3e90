import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "@usmp/testkit";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type GatewayEvent, GatewayEvents } from "../../src/events/gateway-events.ts";
import type { InboundMessage } from "../../src/messages/messages.ts";
import { type OpenSinks, openSinks } from "../../src/sinks/open-sinks.ts";
import type { SinkSettings } from "../../src/sinks/sink.ts";
import { DEVICE, inbound } from "./messages.ts";

const OTHER = "02:00:00:00:00:02";
const DOCS = readFileSync(new URL("../../../../docs/sinks.md", import.meta.url), "utf8");

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "usmp-sinks-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const settings = (name: string, type: string, options: object = {}, devices?: string[]): SinkSettings => ({
  name,
  type,
  options: options as Record<string, unknown>,
  devices,
});

interface Fed {
  readonly sinks: OpenSinks;
  readonly clock: VirtualClock;
  readonly notices: string[];
  send(...messages: InboundMessage[]): void;
}

async function open(...all: SinkSettings[]): Promise<Fed> {
  const events = new GatewayEvents();
  const clock = new VirtualClock();
  const notices: string[] = [];
  events.on((event: GatewayEvent) => event.type === "notice" && notices.push(`${event.topic}: ${event.message}`));
  const sinks = await openSinks(all, { dataDirectory: directory, events, clock, wallNow: () => 0 });
  onTestFinished(async () => {
    const closing = sinks.close();
    await clock.elapse(10_000);
    await closing;
  });
  const send = (...messages: InboundMessage[]): void => {
    for (const message of messages) events.emit({ type: "message", message });
  };
  return { sinks, clock, notices, send };
}

function module(name: string, text: string): string {
  writeFileSync(join(directory, name), text);
  return `./${name}`;
}

async function delivered({ sinks }: Fed, name: string, count: number): Promise<void> {
  const statistics = () => sinks.statistics.find((each) => each.name === name);
  await expect.poll(() => statistics()?.delivered, { interval: 2 }).toBe(count);
}

const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(join(directory, path), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("the file sink", () => {
  test("writes the fields of usmp logs, of the devices that are wanted", async () => {
    const fed = await open(
      settings("all", "file", { path: "all.jsonl" }),
      settings("one", "file", { path: "deep/one.jsonl" }, [OTHER.toUpperCase()]),
    );
    fed.send(inbound(1), inbound(2, "\u001b[31mred", OTHER), inbound(3, Uint8Array.of(0xff)));
    await delivered(fed, "all", 3);
    await delivered(fed, "one", 1);
    expect(lines("all.jsonl")[0]).toEqual({
      id: 1,
      device: DEVICE,
      direction: "in",
      time: "2026-12-01T00:00:00.001Z",
      session: "ab".repeat(16),
      sequence: 1,
      transport: "udp",
      data: Buffer.from("reading 1").toString("base64"),
      text: "reading 1",
    });
    expect(lines("all.jsonl").map(({ id, text }) => [id, text])).toEqual([
      [1, "reading 1"],
      [2, undefined],
      [3, undefined],
    ]);
    expect(lines("deep/one.jsonl").map(({ id }) => id)).toEqual([2]);
    expect(statSync(join(directory, "all.jsonl")).mode & 0o777).toBe(0o600);
  });

  test("that cannot write says so, keeps what waits, and goes on when it can", async () => {
    const fed = await open(settings("log", "file", { path: "place/log.jsonl" }));
    fed.send(inbound(1));
    await delivered(fed, "log", 1);
    rmSync(join(directory, "place"), { recursive: true });
    writeFileSync(join(directory, "place"), "in the way");
    fed.send(inbound(2));
    await expect.poll(() => fed.notices.length).toBe(1);
    expect(fed.notices[0]).toMatch(/^sink: sink log cannot deliver: (EEXIST|ENOTDIR)/);
    rmSync(join(directory, "place"));
    await fed.clock.elapse(2_000);
    await delivered(fed, "log", 2);
    expect(lines("place/log.jsonl").map(({ id }) => id)).toEqual([2]);
  });
});

describe("a sink of one's own", () => {
  test("the example of docs/sinks.md has at most 50 lines and works", async () => {
    const example = /```js csv-sink\.mjs\n(.*?)```/s.exec(DOCS)?.[1] ?? "";
    expect(example.split("\n").length).toBeLessThanOrEqual(50);
    const type = module("csv-sink.mjs", example);
    const fed = await open(settings("csv", type, { path: "messages.csv" }));
    fed.send(inbound(1, 'say "hi"'), inbound(2));
    await delivered(fed, "csv", 2);
    fed.send(inbound(3, "x".repeat(1_000)));
    await expect.poll(() => fed.sinks.statistics[0]?.dropped.refused).toBe(1);
    expect(readFileSync(join(directory, "messages.csv"), "utf8")).toBe(
      `1,${DEVICE},2026-12-01T00:00:00.001Z,"say ""hi"""\n2,${DEVICE},2026-12-01T00:00:00.002Z,"reading 2"\n`,
    );
    await expect(open(settings("csv", type, {}))).rejects.toThrow('sink "csv": path is missing: where the table is');
    await expect(open(settings("csv", type, { path: "x", pth: 1 }))).rejects.toThrow("pth: there is no such option");
  });

  test("that throws, hangs or is slow holds up no other", async () => {
    const hangs = module("hangs.mjs", "export default () => ({ deliver: () => new Promise(() => {}) })");
    const throws = module("throws.mjs", 'export default () => ({ deliver() { throw new Error("no") } })');
    const fed = await open(settings("h", hangs), settings("t", throws), settings("f", "file", { path: "f" }));
    for (let i = 1; i <= 12_000; i += 100) {
      fed.send(...Array.from({ length: 100 }, (_, j) => inbound(i + j)));
      await delivered(fed, "f", i + 99);
    }
    const [h, t] = fed.sinks.statistics;
    expect(h).toMatchObject({ waiting: 10_100, delivered: 0, dropped: { "buffer-full": 1_900 } });
    expect(t).toMatchObject({ waiting: 10_100, delivered: 0, dropped: { "buffer-full": 1_900 }, problem: "no" });
  });
});

test("docs/sinks.md lists the reasons for drops", async () => {
  const { sinks } = await open(settings("f", "file", { path: "f" }));
  const reasons = Object.keys(sinks.statistics[0]?.dropped ?? {});
  expect([...DOCS.matchAll(/^\| `([a-z-]+)` \| (?=the sink|it |the gateway)/gm)].map(([, name]) => name)).toEqual(
    reasons,
  );
});

describe("what is wrong is named", () => {
  test.each([
    [settings("a", "webhok"), 'sink "a", type "webhok": there is no such type; did you mean "webhook"?'],
    [settings("a", "kafka"), 'type "kafka": there is no such type; write file, webhook, or the path of a module'],
    [settings("a", "./none.mjs"), 'type "./none.mjs": the module cannot be read: ENOENT'],
    [settings("a", "file", {}), 'sink "a", option path: missing; it must be a text'],
    [settings("a", "file", { path: "x", maxBytes: 1 }), "option maxBytes: 1; it must be a whole number from 65536"],
    [settings("a", "file", { path: "/dev/null" }), "option path: /dev/null is not a regular file"],
    [settings("a", "file", { path: "x" }, ["pump"]), "pump"],
  ])("%j", async (wrong, message) => {
    await expect(open(wrong)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining(message) });
  });

  test("a module that is no sink, or does not load", async () => {
    const cases = [
      [module("a.mjs", "export const x = 1"), "exports no function as default"],
      [module("b.mjs", "export default () => ({})"), "has no function deliver()"],
      [module("c.mjs", "throw new Error('at once')"), "cannot be loaded: at once"],
    ] as const;
    for (const [type, message] of cases) await expect(open(settings("x", type))).rejects.toThrow(message);
  });

  test("two sinks of one name; and then those that were opened are closed", async () => {
    const type = module(
      "closes.mjs",
      "export default () => ({ deliver: async () => {}, close: async () => void globalThis.closed++ })",
    );
    Object.assign(globalThis, { closed: 0 });
    await expect(open(settings("x", type), settings("x", type))).rejects.toThrow('two sinks have the name "x"');
    expect((globalThis as { closed?: number }).closed).toBe(1);
  });
});
