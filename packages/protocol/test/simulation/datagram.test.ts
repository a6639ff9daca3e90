import { test } from "vitest";
import { drawNetwork } from "./datagram-network.ts";
import { DatagramSimulation } from "./datagram-simulation.ts";
import { runSchedules } from "./schedules.ts";

test("two ends on a lossy datagram path deliver everything once and in order, repeat no nonce, and end clean", () => {
  runSchedules("datagram", 8_000, (random) => new DatagramSimulation(random, drawNetwork));
});
