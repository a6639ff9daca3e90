import { test } from "vitest";
import { runSchedules } from "./schedules.ts";
import { SdkStreamSimulation } from "./sdk-stream-simulation.ts";

test.each(["client", "server"] as const)(
  "our %s and the Python SDK's model on TCP: all arrives in order both ways, but for what a REKEY of the SDK's ends (F3 to F5)",
  (role) => {
    runSchedules(`SDK model on TCP, our ${role}`, 300, (random) => new SdkStreamSimulation(random, role));
  },
);
