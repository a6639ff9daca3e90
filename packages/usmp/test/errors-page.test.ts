import { readFileSync } from "node:fs";
import type { UsageErrorCode, Violation } from "@usmp/protocol";
import type { AddressError, CloseReason, LinkEnd, Refusal, UsmpErrorCode } from "usmp";
import { describe, expect, test } from "vitest";

/** Each list is whole and holds nothing else: the type says so, and a code that is added does not compile without its line here. */
const ERROR_CODES: Record<UsageErrorCode | UsmpErrorCode | AddressError["code"], true> = {
  "invalid-option": true,
  "invalid-key": true,
  "weak-key": true,
  "message-too-long": true,
  "not-established": true,
  "secret-wiped": true,
  "invalid-address": true,
  unreachable: true,
  "refused-by-server": true,
  "handshake-timeout": true,
  "server-not-authentic": true,
  "handshake-failed": true,
  "session-closed": true,
  "delivery-unknown": true,
  "cannot-listen": true,
  "outbox-full": true,
  "link-closed": true,
};
const REASON_CODES: Record<(CloseReason | Refusal["reason"])["code"], true> = {
  "closed-locally": true,
  "closed-by-peer": true,
  dismissed: true,
  aborted: true,
  replaced: true,
  evicted: true,
  "authentication-failed": true,
  "protocol-violation": true,
  "handshake-timeout": true,
  "peer-silent": true,
  "sequence-exhausted": true,
  "key-expired": true,
  "rate-limited": true,
  "server-full": true,
  "transport-ended": true,
  "transport-failed": true,
  "lookup-failed": true,
};
const CAUSES: Record<(CloseReason & { readonly code: "authentication-failed" })["cause"], true> = {
  "unknown-device": true,
  "wrong-key": true,
  "own-device-id": true,
  "peer-proof": true,
};
const VIOLATIONS: Record<Violation, true> = {
  truncated: true,
  "bad-magic": true,
  "unsupported-version": true,
  "oversized-payload": true,
  "trailing-bytes": true,
  "bad-crc": true,
  "unknown-type": true,
  "unexpected-type": true,
  "bad-length": true,
  "bad-cookie": true,
  "bad-proof": true,
  "weak-key-share": true,
  "bad-nonce": true,
  "unexpected-sequence": true,
  replayed: true,
  "bad-tag": true,
  "sequence-exhausted": true,
  "broken-fragments": true,
  "too-many-fragments": true,
  "control-flood": true,
};

/** The ways in which a link ends stand between the errors and the reasons. */
const LINK_ENDS: Record<LinkEnd["code"], true> = {
  "closed-locally": true,
  aborted: true,
  "gave-up": true,
  failed: true,
};

/** The reasons stand under a heading of their own, below the errors. */
const [errors, ends, reasons] = readPage().map(readSections) as [
  Map<string, string>,
  Map<string, string>,
  Map<string, string>,
];

describe("docs/errors.md", () => {
  test("has a heading for every code of an error, and for nothing else", () => {
    expect([...errors.keys()].sort()).toEqual(Object.keys(ERROR_CODES).sort());
  });

  test("has a heading for every code of a close reason or refusal, and for nothing else", () => {
    expect([...reasons.keys()].sort()).toEqual(Object.keys(REASON_CODES).sort());
  });

  test("has a heading for every end of a link that is no close reason as well", () => {
    expect([...ends.keys()].sort()).toEqual(
      Object.keys(LINK_ENDS)
        .filter((code) => !(code in REASON_CODES))
        .sort(),
    );
  });

  test("says under each what happened and what to do: two sentences at least", () => {
    for (const [code, text] of [...errors, ...ends, ...reasons]) expect(text, code).toMatch(/[.:;] [\s\S]+\.$/);
  });

  test("names every cause of a failed authentication, and every violation, and no other", () => {
    expect(quotedIn(reasons.get("authentication-failed"))).toEqual(new Set(["cause", ...Object.keys(CAUSES)]));
    expect(quotedIn(reasons.get("protocol-violation"))).toEqual(
      new Set(["violation", "during", "usmp inspect", ...Object.keys(VIOLATIONS)]),
    );
  });
});

function readPage(): string[] {
  const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  return page.split(/\n## Ends of a link\n|\n## Close reasons\n/);
}

function readSections(part: string): Map<string, string> {
  const sections = part.split(/^### /m).slice(1);
  return new Map(
    sections.map((section) => {
      const end = section.indexOf("\n");
      const text = section.slice(end + 1).replace(/^## [\s\S]*/m, "");
      return [section.slice(0, end).replace(" (reason)", ""), text.trim()];
    }),
  );
}

function quotedIn(text = ""): Set<string> {
  return new Set([...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word as string));
}
