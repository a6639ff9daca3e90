import { UsageError } from "@usmp/protocol";
import { connect } from "usmp";
import { describe, expect, test } from "vitest";
import { TEST_PSK } from "../support/loopback.ts";

describe("options that cannot be are refused before anything is tried:", () => {
  test.each([
    [{ backoff: { initialMs: 0 } }, "reconnect.backoff.initialMs is 0; it must be a positive number of milliseconds"],
    [{ backoff: { initialMs: 500, maxMs: 100 } }, "reconnect.backoff.maxMs is 100; it must be at least"],
    [{ backoff: { factor: 0.5 } }, "reconnect.backoff.factor is 0.5; it must be a number of at least 1"],
    [{ deadAfterMs: Number.NaN }, "reconnect.deadAfterMs is NaN"],
    [{ giveUpAfter: { attempts: 0 } }, "reconnect.giveUpAfter.attempts is 0; it must be a whole number, at least 1"],
    [{ giveUpAfter: { ms: -1 } }, "reconnect.giveUpAfter.ms is -1"],
    [{ outbox: { messages: 0 } }, "reconnect.outbox.messages is 0"],
    [{ outbox: { bytes: 1_000 } }, "reconnect.outbox.bytes is 1000; it must be at least 1808 (one message)"],
    [{ outbox: { whenFull: "block" as "refuse" } }, 'reconnect.outbox.whenFull is "block"; it must be "drop-oldest"'],
  ])("%j", async (reconnect, message) => {
    const attempt = connect({ host: "127.0.0.1", port: 1, psk: TEST_PSK, reconnect });
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(message);
  });
});
