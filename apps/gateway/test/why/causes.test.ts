import type { CloseReason } from "@usmp/protocol";
import type { Refusal } from "usmp";
import { describe, expect, test } from "vitest";
import { refusalView } from "../../src/control/views.ts";
import type { RefusalCause } from "../../src/why/cause.ts";
import { explain } from "../../src/why/explain.ts";
import { immediateCause } from "../../src/why/immediate-cause.ts";
import { EVERY_CAUSE } from "../support/causes.ts";

const FRESH = { ageMs: 10, stale: false };
const peer = { transport: "tcp", host: "192.0.2.1", port: 4000 } as const;
const refusal = (reason: Refusal["reason"], more: Partial<Refusal> = {}): Refusal => ({
  peer,
  claimedDeviceId: undefined,
  reason,
  ...more,
});
const head = (digits: string): Uint8Array => Buffer.from(digits, "hex");

const violation = (name: "bad-magic" | "unsupported-version" | "bad-crc"): CloseReason => ({
  code: "protocol-violation",
  violation: name,
  during: "handshake",
});

describe("what a refusal says by itself", () => {
  test.each<[string, Refusal, RefusalCause | "look-into-proof" | undefined]>([
    ["a wrong proof is looked into", refusal({ code: "authentication-failed", cause: "wrong-key" }), "look-into-proof"],
    ["a reflection", refusal({ code: "authentication-failed", cause: "own-device-id" }), { cause: "own-device-id" }],
    [
      "no keys: the failed look-up was told already",
      refusal({ code: "authentication-failed", cause: "unknown-device" }),
      undefined,
    ],
    [
      "a look-up that failed",
      refusal({ code: "lookup-failed", message: "disk" }),
      { cause: "internal", message: "disk" },
    ],
    ["no HELLO", refusal({ code: "handshake-timeout", awaiting: "HELLO" }), { cause: "timeout", awaiting: "HELLO" }],
    [
      "a peer that left",
      refusal({ code: "transport-ended", during: "handshake", awaiting: "HELLO_ACK" }),
      { cause: "connection-lost", awaiting: "HELLO_ACK", message: undefined },
    ],
    [
      "a broken line",
      refusal({ code: "transport-failed", message: "reset" }),
      { cause: "connection-lost", awaiting: undefined, message: "reset" },
    ],
    [
      "too many handshakes of a source",
      refusal({ code: "rate-limited" }),
      { cause: "over-budget", limit: "handshakes of one address" },
    ],
    ["too many handshakes", refusal({ code: "evicted" }), { cause: "over-budget", limit: "handshakes under way" }],
    ["too many sessions", refusal({ code: "server-full" }), { cause: "server-full" }],
    ["our own end", refusal({ code: "aborted" }), undefined],
    [
      "another version",
      refusal(violation("unsupported-version"), { breach: { offset: 2, head: head("cdab0301") } }),
      { cause: "version", saw: 3 },
    ],
    [
      "a damaged frame",
      refusal(violation("bad-crc"), { breach: { offset: 60, head: head("") } }),
      { cause: "malformed-frame", violation: "bad-crc", offset: 60, during: "handshake" },
    ],
    [
      "another protocol in the middle",
      refusal(violation("bad-magic"), { breach: { offset: 50, head: head("16030102") } }),
      { cause: "malformed-frame", violation: "bad-magic", offset: 50, during: "handshake" },
    ],
  ])("%s", (_, given, cause) => {
    expect(immediateCause(given, FRESH)).toEqual(cause);
  });

  test("a look-up that failed because the copy is stale is told as that", () => {
    const given = refusal({ code: "lookup-failed", message: "stale" });
    expect(immediateCause(given, { ageMs: 61_000.4, stale: true })).toEqual({ cause: "registry-stale", ageMs: 61_000 });
  });

  test.each([
    ["16030102", "TLS"],
    ["16feff00", "TLS"],
    ["47455420", "HTTP"],
    ["504f5354", "HTTP"],
    ["10260004", "MQTT"],
    ["5353482d", "SSH"],
    ["deadbeef", undefined],
  ])("%s at the beginning looks like %s", (digits, looksLike) => {
    const given = refusal(violation("bad-magic"), { breach: { offset: 0, head: head(digits) } });
    expect(immediateCause(given, FRESH)).toEqual({ cause: "not-usmp", looksLike });
  });
});

test.each(EVERY_CAUSE.map((cause) => [JSON.stringify(cause), cause] as const))(
  "%s is explained with evidence and a fix",
  (_, cause) => {
    const record = { cause, claimedId: "02:00:00:00:00:01", transport: "tcp", peer: "192.0.2.1:4000" } as const;
    const { says, evidence, fix } = explain(record);
    for (const line of [says, ...evidence, ...fix]) expect(line).toMatch(/^[^\n]{8,220}$/);
    expect(evidence.length).toBeGreaterThan(0);
    expect(fix.length).toBeGreaterThan(0);
    const view = refusalView({ ...record, firstAt: 0, lastAt: 1, count: 1, source: "192.0.2.1" });
    expect(JSON.parse(JSON.stringify(view))).toEqual(view);
    expect(view.time).toBe("1970-01-01T00:00:00.001Z");
  },
);

test("the form of a key is named in capitals, so that nobody reads past it", () => {
  const { says } = explain({
    cause: { cause: "wrong-key", form: "text", tried: true },
    claimedId: "ID",
    transport: "tcp",
    peer: "",
  });
  expect(says).toContain("the device holds the TEXT form of its key");
});
