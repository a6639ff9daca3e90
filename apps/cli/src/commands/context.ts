import type { Environment, ExitCode } from "../environment.ts";
import type { Reporter, ReportOptions } from "../reporter.ts";

/** What a command is defined with. */
export interface CommandContext {
  readonly environment: Environment;
  /** Runs the work of a command: reports what it throws, and keeps its exit code. */
  perform(options: ReportOptions, work: (reporter: Reporter) => Promise<ExitCode>): Promise<void>;
}
