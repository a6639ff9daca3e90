import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

it("the core has no runtime dependency", () => {
  const manifest: { dependencies: object } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  expect(Object.keys(manifest.dependencies)).toEqual([]);
});
