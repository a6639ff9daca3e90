import { spawnSync } from "node:child_process";
import { expect } from "vitest";

/** promtool, or in one line why its tests are skipped; under CI=true that is an error. */
export function hasPromtool(): boolean {
  if (spawnSync("promtool", ["--version"]).status === 0) return true;
  const reason = "promtool is missing, so nobody else reads the metrics; npm run test:setup installs it";
  if (process.env["CI"] === "true") throw new Error(reason);
  process.stderr.write(`skipped: ${reason}\n`);
  return false;
}

/** What Prometheus' own checker says of a text. It judges style, too, which the names of Node's own metrics (prom-client's) do not keep. */
export function expectGoodMetrics(text: string): void {
  const { stdout, stderr, status } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  const findings = `${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !/^(nodejs|process)_/.test(line));
  expect(findings).toEqual([]);
  // 3: of style alone.
  expect([0, 3]).toContain(status);
}
