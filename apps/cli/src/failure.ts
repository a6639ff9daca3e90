import type { GatewayError, GatewayErrorCode } from "@usmp/gateway";
import { UsageError, type UsageErrorCode } from "@usmp/protocol";
import { AddressError, UsmpError, type UsmpErrorCode } from "usmp";
import type { ExitCode } from "./environment.ts";

/** Codes of failures that are the command line's own; all others are the library's (docs/errors.md). */
export const COMMAND_ERROR_CODES = [
  "usage",
  "unknown-command",
  "no-reply",
  "bad-recording",
  "interrupted",
  "system",
  "internal",
] as const;
export type CommandErrorCode = (typeof COMMAND_ERROR_CODES)[number];

/** A failure that its message explains: shown in one line, without a stack. `code` is stable. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: CommandErrorCode | UsmpErrorCode;
  readonly exitCode: ExitCode;

  constructor(code: CommandErrorCode | UsmpErrorCode, message: string, exitCode: ExitCode) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** Something was asked for in a wrong way: exit code 2. */
export function usage(message: string): CommandError {
  return new CommandError("usage", message, 2);
}

/** What went wrong, for people and scripts alike. */
export interface Failure {
  readonly code: CommandErrorCode | UsmpErrorCode | UsageErrorCode | AddressError["code"] | GatewayErrorCode;
  readonly message: string;
  readonly exitCode: ExitCode;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) return error;
  if (error instanceof UsageError || error instanceof AddressError)
    return { code: error.code, message: error.message, exitCode: 2 };
  if (error instanceof UsmpError) return { code: error.code, message: error.message, exitCode: 1 };
  if (isGatewayError(error))
    return { code: error.code, message: error.message, exitCode: error.code === "usage" ? 2 : 1 };
  if (error instanceof Error && error.name === "AbortError")
    return { code: "interrupted", message: "stopped before it was done", exitCode: 1 };
  if (isSystemError(error)) return { code: "system", message: error.message, exitCode: 1 };
  const detail = error instanceof Error ? (error.stack ?? error.message).replaceAll(/\s*\n\s*/g, " | ") : String(error);
  return { code: "internal", message: `this should not happen, please report it: ${detail}`, exitCode: 1 };
}

/** By its name: the class is the gateway package's, which most commands never load. */
function isGatewayError(error: unknown): error is GatewayError {
  return error instanceof Error && error.name === "GatewayError";
}

/** What the operating system refused: its message names the call, the path and the reason. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}
