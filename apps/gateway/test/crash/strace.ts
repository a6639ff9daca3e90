import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ChildLine, readLines } from "./acknowledged.ts";

const CHILD = fileURLToPath(new URL("./registry-child.mjs", import.meta.url));

/** Each group's calls are made by one thread (nearly all), so that "the Nth fsync" names one call. */
const GROUPS = {
  database: ["usmp.db", "usmp.db-wal"],
  files: ["audit.head", "audit.head.new", "master", "."],
} as const;
export type Group = keyof typeof GROUPS;

const CALLS = ["openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "link", "unlink"] as const;
export type Call = (typeof CALLS)[number];

/** strace that may trace here, or in one line why its tests are skipped; under CI=true that is an error. */
export function hasStrace(): boolean {
  if (spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0) return true;
  const reason =
    "strace is missing or may not trace here, so no system call can be made to fail; npm run test:setup installs it";
  if (process.env["CI"] === "true") throw new Error(reason);
  process.stderr.write(`skipped: ${reason}\n`);
  return false;
}

export interface TracedRun {
  readonly lines: readonly ChildLine[];
  /** Of the child; null when a signal ended it. */
  readonly status: number | null;
  readonly trace: string;
  readonly stderr: string;
}

/** Runs the child once under strace. `inject` is strace's, such as "fsync:signal=KILL:when=3". */
export function runTraced(directory: string, group: Group, inject?: string): TracedRun {
  const paths = GROUPS[group].flatMap((name) => ["-P", join(directory, name)]);
  const tampering = inject === undefined ? [] : ["-e", `inject=${inject}`];
  const { stdout, stderr, status, output } = spawnSync(
    "strace",
    [
      "-f",
      ...(inject?.includes("signal=") ? [] : ["--seccomp-bpf"]), // with it strace 6.1 sends no signal
      ...paths,
      "-e",
      `trace=${CALLS.join(",")}`,
      ...tampering,
      "-o",
      "|cat >&3",
      process.execPath,
      CHILD,
      directory,
      "-",
      "once",
    ],
    {
      encoding: "utf8",
      env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      timeout: 60_000,
    },
  );
  return { lines: readLines(stdout), status, trace: output[3] ?? "", stderr };
}

/** How often the child made a call on the group's files. */
export function countCalls(trace: string, call: Call): number {
  return trace.split("\n").filter((line) => new RegExp(`^\\d+ +${call}\\(`).test(line)).length;
}
