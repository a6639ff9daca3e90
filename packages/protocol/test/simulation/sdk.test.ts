import { test } from "vitest";
import { runSchedules } from "./schedules.ts";
import { SdkSimulation } from "./sdk-simulation.ts";

test.each(["client", "server"] as const)(
  "our %s and the Python SDK's model: what we acknowledge is delivered once and in order, what it acknowledges is told as it was told, and all ends",
  (role) => {
    let lost = 0;
    let spliced = 0;
    runSchedules(`SDK model, our ${role}`, 2_000, (random) => {
      const simulation = new SdkSimulation(random, role);
      return {
        run: () => {
          const outcome = simulation.run();
          lost += simulation.lost;
          spliced += simulation.spliced;
          return outcome;
        },
        get sealedFrames() {
          return simulation.sealedFrames;
        },
      };
    });
    console.info(
      `messages that the SDK acknowledged and lost: ${lost}; that it ran into one it had given up (F22): ${spliced}`,
    );
  },
);
