import type { InboundMessage } from "../messages/messages.ts";

/**
 * Where stored messages go on to: write one in a module of its own and name that in the configuration (docs/sinks.md has one in 50 lines).
 * It gets batches in order, one at a time; a batch that it rejects comes again, the same, after a backoff, so a message may come twice, and
 * `message.id` tells. It is never waited for: what exceeds its bounded buffer is dropped, the oldest first, and counted by cause.
 */
export interface Sink {
  /**
   * Resolves when the batch is safe where it belongs. When it rejects or throws, the batch comes again; an error whose `retry` is false, such
   * as a SinkError, says that this is useless. `signal` aborts when it takes too long, and at the gateway's end.
   */
  deliver(batch: readonly InboundMessage[], signal: AbortSignal): Promise<void>;
  close?(): Promise<void>;
}

/** What a sink's module exports as default: checks the options of the configuration (throws an Error that names the wrong one) and opens it. */
export type SinkFactory = (options: Readonly<Record<string, unknown>>, context: SinkContext) => Sink | Promise<Sink>;

export interface SinkContext {
  /** The name in the configuration. */
  readonly name: string;
  /** Of the gateway: where relative paths begin. */
  readonly dataDirectory: string;
}

export class SinkError extends Error {
  override readonly name = "SinkError";
  readonly retry: boolean;
  /** The receiver asked to be left alone for so long. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly retry: boolean; readonly retryAfterMs?: number }) {
    super(message, options);
    this.retry = options.retry;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** One sink of the configuration. */
export interface SinkSettings {
  readonly name: string;
  /** "file", "webhook", or the path of a module. */
  readonly type: string;
  /** Messages of these devices only; undefined: all. */
  readonly devices: readonly string[] | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}
