import { test } from "vitest";
import { runSchedules } from "./schedules.ts";
import { StreamSimulation } from "./stream-simulation.ts";

test("two ends on a path that keeps order deliver everything once and in order in any chunks, repeat no nonce, and end clean", () => {
  runSchedules("stream", 6_000, (random) => new StreamSimulation(random));
});
