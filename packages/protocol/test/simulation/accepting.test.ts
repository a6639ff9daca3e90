import { test } from "vitest";
import { drawHostileNetwork, drawNetwork } from "./datagram-network.ts";
import { DatagramSimulation } from "./datagram-simulation.ts";
import { runSchedules } from "./schedules.ts";
import { StreamSimulation } from "./stream-simulation.ts";

// The applications of both ends accept what came after a while (acknowledge "accepted"), in order, and nothing is acknowledged before.
test("two ends whose applications accept late acknowledge nothing before that, and deliver everything once and in order", () => {
  runSchedules("accepting, datagram", 1_000, (random) => new DatagramSimulation(random, drawNetwork, random.fork()));
  runSchedules("accepting, hostile datagram", 700, (random) => {
    return new DatagramSimulation(random, drawHostileNetwork, random.fork());
  });
});

test("so they do on a path that keeps order: a PONG says that what went before its PING is accepted", () => {
  runSchedules("accepting, stream", 1_000, (random) => new StreamSimulation(random, random.fork()));
});
