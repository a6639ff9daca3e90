import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevel } from "./configuration/settings.ts";
import type { Environment } from "./environment.ts";
import type { CliEvent } from "./events.ts";
import { type Failure, failureOf } from "./failure.ts";
import { escapeEveryUnprintable } from "./printable.ts";
import { describeEvent } from "./render.ts";
import { Reporter } from "./reporter.ts";

/** Neither payloads nor keys get into a log: events that carry some are written without, and what still has such a name is taken out. */
const REDACTED = ["psk", "key", "token", "secret", "password", "passphrase", "data", "text"].flatMap((name) => [
  name,
  `*.${name}`,
]);

/** Writes what happens as a log: JSON lines with level and time for whatever collects logs, on standard output. Errors are lines of it, too. */
export class LogReporter extends Reporter {
  readonly #log: Logger;
  #written: Promise<void> = Promise.resolve();

  constructor(environment: Environment, level: LogLevel) {
    super(environment, {});
    const destination: DestinationStream = {
      write: (line) => {
        this.#written = super.line(escapeEveryUnprintable(line.trimEnd()));
      },
    };
    this.#log = pino(
      {
        level,
        base: null,
        timestamp: () => `,"time":"${environment.now().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
        redact: { paths: REDACTED, remove: true },
      },
      destination,
    );
  }

  /** Resolves when the reader of our output has room again. */
  override event(event: CliEvent): Promise<void> {
    const { fields, text } = loggable(event);
    this.#log[levelOf(event)](fields, text);
    return this.#written;
  }

  override aside(event: CliEvent): Promise<void> {
    return this.event(event);
  }

  override error({ code, message }: Failure): Promise<void> {
    return this.event({ event: "error", code, message });
  }

  /** Runs the work of a command; what it throws is a line of the log. */
  async perform<T>(work: () => Promise<T>): Promise<T | Failure["exitCode"]> {
    try {
      return await work();
    } catch (error) {
      const failure = failureOf(error);
      await this.error(failure);
      return failure.exitCode;
    }
  }
}

function levelOf({ event }: CliEvent): LogLevel {
  switch (event) {
    case "message":
      return "debug";
    case "refused":
    case "notice":
    case "undelivered":
      return "warn";
    case "error":
      return "error";
    default:
      return "info";
  }
}

/** Of a message its length alone. */
function loggable(event: CliEvent): { readonly fields: object; readonly text: string } {
  if (event.event === "gateway") return { fields: { ...event, directory: event.data }, text: describeEvent(event) };
  if (event.event !== "message") return { fields: event, text: describeEvent(event) };
  const { device, session, data } = event;
  const bytes = Buffer.byteLength(data, "base64");
  return { fields: { event: event.event, device, session, bytes }, text: `${bytes} bytes` };
}
