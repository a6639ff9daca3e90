import { withSeed } from "@usmp/testkit";
import { expect, test } from "vitest";
import { scheduleSeeds } from "./schedules.ts";
import { StreamSimulation } from "./stream-simulation.ts";

const SCHEDULES = 1_000;

test("two ends on a path that keeps order deliver everything once and in order in any chunks, repeat no nonce, and end clean", () => {
  const outcomes = { lasted: 0, ended: 0, failed: 0 };
  let sealedFrames = 0;
  for (const seed of scheduleSeeds(SCHEDULES)) {
    withSeed(seed, (random) => {
      const simulation = new StreamSimulation(random);
      outcomes[simulation.run()]++;
      sealedFrames += simulation.sealedFrames;
    });
  }
  console.info(`stream schedules: ${JSON.stringify(outcomes)}, ${sealedFrames} sealed frames`);
  expect(sealedFrames).toBeGreaterThan(0);
});
