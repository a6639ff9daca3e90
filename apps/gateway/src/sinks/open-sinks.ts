import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Clock } from "usmp";
import { idOf } from "../control/params.ts";
import { GatewayError } from "../errors.ts";
import type { GatewayEvents } from "../events/gateway-events.ts";
import { messageOf } from "../master/secret-file.ts";
import type { InboundMessage } from "../messages/messages.ts";
import type { DeviceId, WallMs } from "../records.ts";
import { BatchRunner, DEFAULT_RUNNER_LIMITS, type RunnerLimits, type RunnerStatistics } from "./batch-runner.ts";
import { openFileSink } from "./file-sink.ts";
import { nearestName } from "./nearest-name.ts";
import type { Sink, SinkContext, SinkFactory, SinkSettings } from "./sink.ts";
import { openWebhookSink } from "./webhook/webhook-sink.ts";

const OWN_SINKS: Readonly<Record<string, SinkFactory>> = { file: openFileSink, webhook: openWebhookSink };

/** What a message takes beside its data. */
const MESSAGE_OVERHEAD = 200;

export interface SinkSurroundings {
  readonly dataDirectory: string;
  readonly events: GatewayEvents;
  readonly clock: Clock;
  readonly wallNow: () => WallMs;
  readonly limits?: Partial<RunnerLimits> | undefined;
}

export interface NamedSinkStatistics extends RunnerStatistics {
  readonly name: string;
}

/** The sinks of a gateway, each fed by the events of stored messages through a buffer of its own. */
export interface OpenSinks {
  readonly statistics: readonly NamedSinkStatistics[];
  /** Hands on what waits, all at once; bounded (see RunnerLimits.closeMs). */
  close(): Promise<void>;
}

/** Opens all or none. Rejects with GatewayError "usage" that names what is wrong with which sink. */
export async function openSinks(settings: readonly SinkSettings[], surroundings: SinkSurroundings): Promise<OpenSinks> {
  const fed: FedSink[] = [];
  try {
    for (const each of settings) {
      if (fed.some(({ name }) => name === each.name)) {
        throw new GatewayError("usage", `two sinks have the name ${JSON.stringify(each.name)}; give each its own`);
      }
      fed.push(await FedSink.open(each, surroundings));
    }
  } catch (error) {
    await Promise.all(fed.map((sink) => sink.close()));
    throw error;
  }
  return {
    get statistics() {
      return fed.map((sink) => ({ name: sink.name, ...sink.runner.statistics }));
    },
    async close() {
      await Promise.all(fed.map((sink) => sink.close()));
    },
  };
}

class FedSink {
  readonly name: string;
  readonly runner: BatchRunner<InboundMessage>;
  readonly #stop: () => void;

  private constructor(
    sink: Sink,
    name: string,
    wanted: ReadonlySet<DeviceId> | undefined,
    surroundings: SinkSurroundings,
  ) {
    const { events, clock, wallNow, limits } = surroundings;
    this.name = name;
    this.runner = new BatchRunner({
      deliver: (batch, signal) => sink.deliver(batch, signal),
      close: sink.close === undefined ? undefined : async () => sink.close?.(),
      sizeOf: ({ data }) => data.length + MESSAGE_OVERHEAD,
      limits: { ...DEFAULT_RUNNER_LIMITS, ...limits },
      clock,
      random: Math.random,
      onTrouble: (message) =>
        events.emit({ type: "notice", time: wallNow(), topic: "sink", message: `sink ${name} ${message}` }),
    });
    this.#stop = events.on((event) => {
      if (event.type !== "message") return;
      if (wanted === undefined || wanted.has(event.message.device)) this.runner.offer(event.message);
    });
  }

  static async open(settings: SinkSettings, surroundings: SinkSurroundings): Promise<FedSink> {
    const { name, type, options, devices } = settings;
    const wanted = devices === undefined ? undefined : new Set(devices.map(idOf));
    const context: SinkContext = { name, dataDirectory: surroundings.dataDirectory };
    const factory = OWN_SINKS[type] ?? (await factoryOf(settings, context));
    try {
      const sink = await factory(options, context);
      if (typeof sink?.deliver !== "function") throw new Error(`what ${type} made has no function deliver()`);
      return new FedSink(sink, name, wanted, surroundings);
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      throw new GatewayError("usage", `sink ${JSON.stringify(name)}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** What comes from now on is not for this sink any more. */
  async close(): Promise<void> {
    this.#stop();
    await this.runner.close();
  }
}

/** Loads the module at a path: its owner is the one who may write the configuration, and it runs with all that the gateway may do. */
async function factoryOf({ name, type }: SinkSettings, { dataDirectory }: SinkContext): Promise<SinkFactory> {
  const refuse = (problem: string, cause?: unknown): GatewayError =>
    new GatewayError("usage", `sink ${JSON.stringify(name)}, type ${JSON.stringify(type)}: ${problem}`, { cause });
  if (!/[/\\.]/.test(type)) {
    const meant = nearestName(type, Object.keys(OWN_SINKS));
    throw refuse(
      `there is no such type; ${meant === undefined ? "" : `did you mean "${meant}"? `}write file, webhook, or the path of a module`,
    );
  }
  const path = resolve(dataDirectory, type);
  await access(path).catch((error: unknown) => {
    throw refuse(`the module cannot be read: ${messageOf(error)}`, error);
  });
  const module = (await import(pathToFileURL(path).href).catch((error: unknown) => {
    throw refuse(`the module cannot be loaded: ${messageOf(error)}`, error);
  })) as { readonly default?: unknown };
  if (typeof module.default === "function") return module.default as SinkFactory;
  throw refuse("the module exports no function as default");
}
