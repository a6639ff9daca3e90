import { describe, expect, it } from "vitest";
import { checkDeviceId, checkPsk, DEFAULT_TIMING, parseTiming } from "../../src/connection/config.ts";
import { Secret } from "../../src/crypto/secret.ts";
import { UsageError } from "../../src/errors.ts";
import { filled } from "../support/fixtures.ts";

describe("durations", () => {
  it("are those of the spec where none is given", () => {
    expect(parseTiming({})).toEqual(DEFAULT_TIMING);
    expect(DEFAULT_TIMING).toEqual({ handshakeTimeoutMs: 10_000, keepaliveMs: 30_000, idleTimeoutMs: 60_000 });
  });

  it("are those that are given", () => {
    expect(parseTiming({ keepaliveMs: 5, idleTimeoutMs: 6, handshakeTimeoutMs: undefined })).toEqual({
      handshakeTimeoutMs: 10_000,
      keepaliveMs: 5,
      idleTimeoutMs: 6,
    });
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("of %d are refused by name, with what is right", (value) => {
    for (const field of ["handshakeTimeoutMs", "keepaliveMs", "idleTimeoutMs"] as const) {
      const refused = () => parseTiming({ [field]: value });
      expect(refused).toThrow(UsageError);
      expect(refused).toThrow(`${field} is ${value}; it must be a positive number of milliseconds`);
    }
  });

  it("whose keepalive is not shorter than the idle timeout are refused, with the reason", () => {
    expect(() => parseTiming({ keepaliveMs: 60_000 })).toThrow(
      /keepaliveMs \(60000\) must be less than idleTimeoutMs \(60000\): a quiet session would end/,
    );
  });
});

describe("a PSK", () => {
  it.each([16, 32, 64, 65])("of %i bytes is taken", (length) => {
    expect(() => checkPsk(new Secret(filled(length, 1)))).not.toThrow();
  });

  it.each([0, 15])("of %i bytes is refused, with the fix and without the key", (length) => {
    const refused = () => checkPsk(new Secret(filled(length, 0x41)));
    expect(refused).toThrow(expect.objectContaining({ code: "invalid-key" }));
    expect(refused).toThrow(new RegExp(`psk has ${length} bytes; at least 16 .*usmp keygen`));
    expect(refused).not.toThrow(/AAA/);
  });
});

describe("a device id", () => {
  it("of 6 bytes is taken, and of 5 or 7 refused", () => {
    expect(() => checkDeviceId(filled(6, 0))).not.toThrow();
    for (const length of [5, 7]) {
      expect(() => checkDeviceId(filled(length, 0))).toThrow(`deviceId has ${length} bytes; it must have 6`);
    }
  });
});
