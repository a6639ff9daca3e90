/** What the kernel knows of a process. */
import { readdirSync, readFileSync } from "node:fs";

/** Kernel clock ticks in a second: what /proc/PID/stat counts in. Linux shows 100 to programs on every architecture. */
const TICKS_PER_SECOND = 100;
const MICROSECONDS_PER_TICK = 1_000_000 / TICKS_PER_SECOND;

/**
 * CPU time of all its threads so far, user and system, in microseconds: by the scheduler's count of nanoseconds where the kernel keeps it, else in
 * ticks. A thread that has ended meanwhile is missing from the former; servers here keep theirs.
 * @param {number | undefined} pid
 */
export function cpuMicroseconds(pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((id) =>
      Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]),
    );
    return nanoseconds.reduce((sum, each) => sum + each, 0) / 1_000;
  } catch {
    return ticks(pid) * MICROSECONDS_PER_TICK;
  }
}

/** @param {number | undefined} pid */
function ticks(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The program's name, in parentheses, may hold blanks: count behind it. utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** @param {number | undefined} pid */
export function residentBytes(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
