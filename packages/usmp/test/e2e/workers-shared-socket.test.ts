import { expect, test, vi } from "vitest";
import { nodeCanReusePort, socketSource } from "../../src/workers/own-sockets.ts";
import { testTwoWorkers } from "../support/workers-suite.ts";

// Without the addon, and before Node 22.12, workers share one socket.
vi.hoisted(() => {
  process.env["USMP_CRYPTO"] = "node";
});

test("the addon is left out", () => {
  expect(socketSource()).toBe(
    nodeCanReusePort(process.versions.node) && process.platform === "linux" ? "node" : "shared",
  );
});

test.each([
  ["20.20.2", false],
  ["22.11.0", false],
  ["22.12.0", true],
  ["23.0.0", false],
  ["23.1.0", true],
  ["24.0.0", true],
])("Node %s makes sockets that share a port: %s", (version, can) => {
  expect(nodeCanReusePort(version)).toBe(can);
});

testTwoWorkers();
