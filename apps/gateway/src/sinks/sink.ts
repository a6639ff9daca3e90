import type { InboundMessage } from "../messages/messages.ts";

/**
 * Where stored messages go on to: write one in a module of its own and name it in the configuration. It gets batches in order, one at a
 * time; a batch that it rejects comes again after a backoff, so a message may come twice, and `message.id` tells. It is never waited for:
 * what exceeds its bounded buffer is dropped, the oldest first, and counted by cause.
 */
export interface Sink {
  /** Resolves when the batch is safe where it belongs. A SinkError with `retry: false` says that trying again is useless. */
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

  constructor(message: string, options: ErrorOptions & { readonly retry: boolean }) {
    super(message, options);
    this.retry = options.retry;
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
