import { withSeed } from "@usmp/testkit";
import { expect, test } from "vitest";
import { DatagramSimulation } from "./datagram-simulation.ts";
import { scheduleSeeds } from "./schedules.ts";

const SCHEDULES = 2_000;

test("two ends on a lossy, hostile datagram path deliver everything once and in order, repeat no nonce, and end clean", () => {
  const outcomes = { lasted: 0, ended: 0, failed: 0 };
  let sealedFrames = 0;
  for (const seed of scheduleSeeds(SCHEDULES)) {
    withSeed(seed, (random) => {
      const simulation = new DatagramSimulation(random);
      outcomes[simulation.run()]++;
      sealedFrames += simulation.sealedFrames;
    });
  }
  console.info(`datagram schedules: ${JSON.stringify(outcomes)}, ${sealedFrames} sealed frames`);
  expect(sealedFrames).toBeGreaterThan(0);
});
