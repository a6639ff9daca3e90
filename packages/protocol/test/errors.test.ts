import { expect, it } from "vitest";
import { UsageError } from "../src/errors.ts";

it("a UsageError is an Error with a stable code beside its text", () => {
  const error = new UsageError("invalid-option", "keepaliveMs is 0; it must be positive");
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: "UsageError", code: "invalid-option" });
  expect(String(error)).toBe("UsageError: keepaliveMs is 0; it must be positive");
});
