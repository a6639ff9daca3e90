import { resolve } from "node:path";
import type { Clock, Server } from "usmp";
import type { HealthView } from "../control/methods.ts";
import type { GatewayEvents } from "../events/gateway-events.ts";
import type { GatewayOptions } from "../gateway/gateway.ts";
import { health } from "../health/health.ts";
import { SecurityLog } from "../logs/security-log.ts";
import { messageOf } from "../master/secret-file.ts";
import type { Intake } from "../messages/inbound/intake.ts";
import type { OutboundQueue } from "../messages/outbound/outbound-queue.ts";
import type { MessageStorage } from "../messages/storage.ts";
import { GatewayMetrics } from "../metrics/gateway-metrics.ts";
import { reportToOpenTelemetry } from "../metrics/open-telemetry.ts";
import { processMetricsText } from "../metrics/process-metrics.ts";
import { prometheusText } from "../metrics/prometheus-text.ts";
import { SessionSampler } from "../metrics/session-sampler.ts";
import type { WallMs } from "../records.ts";
import type { OpenedRegistry } from "../registry/open-registry.ts";
import { type OpenSinks, openSinks } from "../sinks/open-sinks.ts";
import { SharedCheck } from "./shared-check.ts";
import { WorkerWatch } from "./worker-watch.ts";

export interface ObservedParts {
  readonly options: Pick<
    GatewayOptions,
    "version" | "dataDirectory" | "tcp" | "udp" | "workers" | "sinks" | "securityLog"
  >;
  readonly opened: OpenedRegistry;
  readonly clock: Clock;
  readonly events: GatewayEvents;
  /** Undefined before it listens. */
  readonly server: () => Server | undefined;
  readonly closing: () => boolean;
}

/** The store may take so long to answer. */
const STORE_ANSWERS_MS = 2_000;
const NO_SINKS: OpenSinks = { statistics: [], close: async () => {} };

/** A gateway as it is seen from outside: sinks, metrics, health. */
export class Observed {
  readonly sampler: SessionSampler;
  readonly workers: WorkerWatch;
  readonly #parts: ObservedParts;
  readonly #metrics: GatewayMetrics;
  readonly #storeCheck: SharedCheck<string | undefined>;
  #storage: Pick<MessageStorage, "check"> | undefined;
  #outbound: Pick<OutboundQueue, "depth"> | undefined;
  #intake: Pick<Intake, "statistics"> | undefined;
  #sinks: OpenSinks = NO_SINKS;
  #securityLog: SecurityLog | undefined;
  #stopTelemetry: () => void = () => {};

  constructor(parts: ObservedParts) {
    const { opened, clock, events, options, server } = parts;
    const wallNow = (): number => opened.wallClock.now();
    this.#parts = parts;
    this.#storeCheck = new SharedCheck(clock, async () => this.#storage?.check().then(() => undefined, messageOf));
    this.sampler = new SessionSampler(clock, wallNow);
    this.workers = new WorkerWatch(options.workers);
    this.#metrics = new GatewayMetrics({
      version: options.version,
      server,
      registry: opened.registry,
      events,
      sampler: this.sampler,
      workers: this.workers,
      sinks: () => this.#sinks.statistics,
      wallNow,
      queueDepth: () => this.#outbound?.depth.messages ?? 0,
      intake: () => this.#intake?.statistics,
    });
  }

  /** Before anything listens: what is wrong with a sink or the security log keeps the gateway from starting. */
  async open(): Promise<void> {
    const { options, events, clock, opened } = this.#parts;
    const { dataDirectory, sinks = [], securityLog, version } = options;
    const wallNow = (): WallMs => opened.wallClock.now();
    if (securityLog !== undefined) {
      this.#securityLog = await SecurityLog.open({
        path: resolve(dataDirectory, securityLog),
        registry: opened.registry,
        clock,
        onTrouble: (message) =>
          events.emit({
            type: "notice",
            time: wallNow(),
            topic: "security-log",
            message: `the security log ${message}`,
          }),
      });
    }
    this.#sinks = await openSinks(sinks, { dataDirectory, events, clock, wallNow });
    this.#stopTelemetry = await reportToOpenTelemetry(this.#metrics, events, version);
  }

  /** From now on metrics and health know of the store, of what comes into it, and of the queue. */
  follow(
    storage: Pick<MessageStorage, "check">,
    intake: Pick<Intake, "statistics">,
    outbound: Pick<OutboundQueue, "depth">,
  ): void {
    this.#storage = storage;
    this.#intake = intake;
    this.#outbound = outbound;
  }

  /** Prometheus' text: the gateway's metrics, then those of the process. */
  async metricsText(): Promise<string> {
    const families = await this.#metrics.families();
    return `${prometheusText(families)}\n${await processMetricsText()}`;
  }

  health(options: { readonly details: boolean }): Promise<HealthView> {
    const { opened, options: wanted, server, closing } = this.#parts;
    return health(
      {
        registry: opened.registry,
        storeProblem: () => this.#storeProblem(),
        ports: () => ({
          wanted: (["tcp", "udp"] as const).filter((transport) => wanted[transport] !== undefined),
          bound: (server()?.addresses ?? []).map(({ transport }) => transport),
        }),
        workers: this.workers,
        closing,
      },
      options,
    );
  }

  async #storeProblem(): Promise<string | undefined> {
    // A full disk answers questions, and takes nothing.
    const trouble = this.#intake?.statistics.trouble;
    if (trouble !== undefined) return trouble.message;
    const late = new Promise<string>((resolve) => {
      setTimeout(() => resolve(`no answer within ${STORE_ANSWERS_MS} ms`), STORE_ANSWERS_MS).unref();
    });
    return Promise.race([this.#storeCheck.result(), late]);
  }

  /** Hands what waits to the sinks, bounded, and the last rows of the audit to the security log. */
  async close(): Promise<void> {
    await Promise.all([this.#sinks.close(), this.#securityLog?.close()]);
    this.#stopTelemetry();
    this.sampler.close();
    this.#metrics.close();
  }
}
