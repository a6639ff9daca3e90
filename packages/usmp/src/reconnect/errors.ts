import { describeReason, UsmpError, type UsmpErrorCode } from "../errors.ts";
import type { LinkEnd } from "./api.ts";

/** send() found no place in the outbox, and nothing may be dropped for it. Nothing of the message was kept. */
export class OutboxFullError extends UsmpError {
  override readonly name = "OutboxFullError";

  constructor(messages: number, bytes: number) {
    super(
      "outbox-full",
      `the outbox holds ${messages} messages (${bytes} bytes) that have no fate yet; wait for an outcome, or choose another outbox.whenFull`,
    );
  }
}

/** The link has ended: nothing can be asked of it any more. */
export class LinkClosedError extends UsmpError {
  override readonly name = "LinkClosedError";
  readonly end: LinkEnd;

  constructor(end: LinkEnd) {
    super("link-closed", `the link has ended: ${describeLinkEnd(end)}`);
    this.end = end;
  }
}

/** Codes of failed attempts that look like a key that is wrong, or not known there (yet). */
const REFUSALS: ReadonlySet<UsmpErrorCode> = new Set(["refused-by-server", "server-not-authentic"]);

/**
 * True when the keys seem to differ. Over UDP nobody says so: the server's silence after our proof looks the same as its death in that
 * moment, but lasts.
 */
export function looksRefused(error: UsmpError): boolean {
  if (REFUSALS.has(error.code)) return true;
  const reason = "reason" in error ? (error.reason as { code?: string; awaiting?: string } | undefined) : undefined;
  return error.code === "handshake-timeout" && reason?.awaiting === "SESSION_OK";
}

/** Why a link ended, in words. */
export function describeLinkEnd(end: LinkEnd): string {
  switch (end.code) {
    case "closed-locally":
    case "aborted":
      return describeReason({ code: end.code });
    case "gave-up":
      return `it gave up; the last error was ${end.error.message}`;
    case "failed":
      return end.error.message;
  }
}
