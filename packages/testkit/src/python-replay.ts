import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { pythonSdk } from "./python-sdk.ts";

/** Reached from src/ and from dist/ alike. */
const SCRIPT: string = fileURLToPath(new URL("../src/python/replay.py", import.meta.url));
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** What one end of the SDK is given: at which moments which datagrams come, and what its application calls. */
export interface ReplayScript {
  readonly role: "client" | "server";
  readonly psk: string;
  readonly deviceId: string;
  /** Hex, in the order of their use; other random values by length, in the order of their use. */
  readonly privateKeys: readonly string[];
  readonly random: readonly string[];
  readonly steps: readonly ReplayStep[];
}

/** `at` in milliseconds; bytes in hex. */
export type ReplayStep =
  | { readonly at: number; readonly datagram: string }
  | { readonly at: number; readonly call: ReplayCall; readonly data?: string };

export type ReplayCall = "send" | "ping" | "rekey" | "bye" | "pause" | "resume";

/** What it did: datagrams and events with their moments, in order. */
export interface Replayed {
  readonly sent: readonly (readonly [number, string])[];
  readonly events: readonly (readonly [number, string, string])[];
}

/** Runs scripts through the real Python SDK in virtual time, which takes milliseconds each. Needs pythonSdk(). */
export function replayThroughSdk(scripts: readonly ReplayScript[], startMs: number): Replayed[] {
  const { interpreter, reason } = pythonSdk();
  if (interpreter === undefined) throw new Error(reason);
  const { stdout, stderr, status } = spawnSync(interpreter, [SCRIPT], {
    input: JSON.stringify({ startMs, scripts }),
    encoding: "utf8",
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  if (status !== 0) throw new Error(`the Python SDK's replay failed:\n${stderr.slice(-4_000)}`);
  return JSON.parse(stdout) as Replayed[];
}
