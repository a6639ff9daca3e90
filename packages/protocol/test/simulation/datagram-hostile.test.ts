import { test } from "vitest";
import { drawHostileNetwork } from "./datagram-network.ts";
import { DatagramSimulation } from "./datagram-simulation.ts";
import { runSchedules } from "./schedules.ts";

test("so they do on the worst of paths, with an attacker who copies, damages and invents datagrams on it", () => {
  runSchedules("hostile datagram", 6_000, (random) => new DatagramSimulation(random, drawHostileNetwork));
});
