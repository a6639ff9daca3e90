import { describe, expect, it } from "vitest";
import { DEFAULT_LIMITS, divideLimits, parseLimits } from "../../src/fairness/limits.ts";

describe("parseLimits()", () => {
  it("takes what is given and the defaults for the rest", () => {
    expect(parseLimits()).toEqual(DEFAULT_LIMITS);
    expect(parseLimits({ sessions: 7, provenMs: undefined })).toEqual({ ...DEFAULT_LIMITS, sessions: 7 });
  });

  it("reserves a quarter of few handshakes, unless told otherwise", () => {
    expect(parseLimits({ handshakes: 100 }).reservedHandshakes).toBe(25);
    expect(parseLimits({ handshakes: 1 }).reservedHandshakes).toBe(0);
    expect(parseLimits({ handshakes: 100_000 }).reservedHandshakes).toBe(DEFAULT_LIMITS.reservedHandshakes);
    expect(parseLimits({ handshakes: 10, reservedHandshakes: 9 }).reservedHandshakes).toBe(9);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("refuses %s, with the field's name", (value) => {
    expect(() => parseLimits({ cookiesPerSecond: value })).toThrow(
      `limits.cookiesPerSecond is ${value}; it must be a whole number, at least 1`,
    );
  });

  it("refuses a name that is none, and a reserve that leaves nothing", () => {
    expect(() => parseLimits({ handshake: 5 } as never)).toThrow("limits.handshake is not a limit");
    expect(() => parseLimits({ handshakes: 10, reservedHandshakes: 10 })).toThrow(
      "limits.reservedHandshakes is 10; it must be less than limits.handshakes (10)",
    );
  });
});

describe("divideLimits()", () => {
  it("divides rates and places, rounded up, and leaves whole what is remembered, for how long, and the sessions", () => {
    const part = divideLimits(DEFAULT_LIMITS, 3);
    expect(part).toEqual({
      ...DEFAULT_LIMITS,
      handshakes: 342,
      handshakesPerSource: 171,
      reservedHandshakes: 86,
      newcomersPerSecond: 667,
      newcomersPerSourcePerSecond: 7,
      newcomersPerSourceBurst: 34,
      overdueNewcomersPerSecond: 334,
      cookiesPerSecond: 6_667,
      wrongProofsPerSecond: 1_334,
      reportedRefusalsPerSecond: 34,
    });
    expect(parseLimits(part)).toEqual(part);
    expect(divideLimits(DEFAULT_LIMITS, 1)).toEqual(DEFAULT_LIMITS);
  });

  it("answers limits that can be, however small the whole is", () => {
    for (const handshakes of [1, 2, 3, 9]) {
      const part = divideLimits(parseLimits({ handshakes, newcomersPerSecond: 1, sessions: 1 }), 64);
      expect(parseLimits(part)).toEqual(part);
      expect(part).toMatchObject({ handshakes: 2, reservedHandshakes: 1, newcomersPerSecond: 1, sessions: 1 });
    }
  });
});
