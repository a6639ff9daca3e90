import { defineConfig } from "vitest/config";

// Tests run on the sources: no build comes first, and a failure points at the line that was written.
// The rest are Vite's conditions for server code, which a list of one's own replaces; but for "module", which is for bundlers: Node would
// get what it cannot load (@opentelemetry/api has such files).
const conditions = ["usmp-source", "node", "development|production"];

const tests = (folder: string): string[] => [`packages/*/test/${folder}`, `apps/*/test/${folder}`];
const vectors = tests("**/*vectors*.test.ts");
const models = tests("models/**/*.test.ts");
const simulation = tests("simulation/**/*.test.ts");
const fuzz = tests("fuzz/**/*.test.ts");
const interop = tests("interop/**/*.test.ts");
const e2e = tests("e2e/**/*.test.ts");
const crash = tests("crash/**/*.test.ts");

// `npm run fuzz` and `npm run long` set their own end.
const long = process.env["USMP_FUZZ_SECONDS"] !== undefined || process.env["USMP_SCHEDULES"] !== undefined;
const seededTimeoutMs = long ? 0 : 300_000;

/**
 * Stages with other processes in them (the SDK, PostgreSQL, a debugger) meet races that are not ours: which of two errors a foreign end
 * reports. A test that fails twice is broken; one that needed the second try is printed with "retry x1" and deserves a look.
 */
const RETRIES = 1;
/** Real sockets and processes: one file at a time, so that one test's load is not another's timeout. */
const realParts = { testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false, retry: RETRIES };

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    maxWorkers: 2,
    // How long something may take to happen that must happen: a second, vitest's own bound, is short on a loaded machine.
    expect: { poll: { timeout: 30_000 } },
    coverage: {
      provider: "v8",
      include: ["packages/protocol/src/**/*.ts"],
      reporter: [["text", { skipFull: true }], "json-summary"],
      reportOnFailure: true,
      thresholds: { branches: 100 },
    },
    projects: [
      // A million frames take 2 s on an idle machine, and several times that on two cores that others use as well.
      {
        extends: true,
        test: {
          name: "unit",
          include: tests("**/*.test.ts"),
          exclude: [...vectors, ...models, ...simulation, ...fuzz, ...interop, ...e2e, ...crash],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          retry: RETRIES,
        },
      },
      { extends: true, test: { name: "vectors", include: vectors, testTimeout: 60_000 } },
      { extends: true, test: { name: "models", include: models, testTimeout: 60_000 } },
      { extends: true, test: { name: "simulation", include: simulation, testTimeout: seededTimeoutMs } },
      { extends: true, test: { name: "fuzz", include: fuzz, testTimeout: seededTimeoutMs } },
      {
        extends: true,
        test: { name: "interop", include: interop, ...realParts },
      },
      {
        extends: true,
        // Nothing in it is timed: two files at once halve it.
        test: { name: "crash", include: crash, ...realParts, fileParallelism: true },
      },
      {
        extends: true,
        test: { name: "e2e", include: e2e, ...realParts },
      },
    ],
  },
});
