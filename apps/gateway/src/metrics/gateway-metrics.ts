import type { CloseReason, Server } from "usmp";
import type { GatewayEvent, GatewayEvents } from "../events/gateway-events.ts";
import type { IntakeStatistics } from "../messages/inbound/intake.ts";
import type { OutboundState } from "../messages/messages.ts";
import type { WorkerStates } from "../observe/worker-watch.ts";
import type { WallMs } from "../records.ts";
import type { Registry } from "../registry/registry.ts";
import type { OpenSinks } from "../sinks/open-sinks.ts";
import { CAUSE_NAMES, type CauseName } from "../why/cause.ts";
import { counter, type Family, gauge, sample } from "./family.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import type { SessionSampler, SessionTotals } from "./session-sampler.ts";

export interface MetricSources {
  readonly version: string;
  /** Undefined before it listens. */
  readonly server: () => Server | undefined;
  readonly registry: Pick<Registry, "deviceCount" | "ageMs">;
  readonly events: GatewayEvents;
  readonly sampler: SessionSampler;
  readonly workers: WorkerStates;
  readonly sinks: () => OpenSinks["statistics"];
  readonly wallNow: () => WallMs;
  /** Messages that wait for their devices. */
  readonly queueDepth: () => number;
  /** Of what devices send; undefined before it is read. */
  readonly intake: () => IntakeStatistics | undefined;
}

interface Latency {
  readonly histogram: LatencyHistogram;
  readonly family: Family;
}

const TRANSPORTS = ["tcp", "udp"] as const;

/**
 * What /metrics shows, beside the process: numbers that events move, and what is asked for when somebody looks. The listener costs a message tens
 * of nanoseconds (docs/observability.md); nothing is kept for each device.
 */
export class GatewayMetrics {
  readonly #sources: MetricSources;
  readonly #stop: () => void;
  readonly #refused: Map<CauseName, number> = new Map(CAUSE_NAMES.map((cause) => [cause, 0]));
  readonly #ended: Map<CloseReason["code"], number> = new Map();
  readonly #outbound: Map<OutboundState, number> = new Map();
  readonly #storeLatency: LatencyHistogram = new LatencyHistogram();
  readonly #deliveryLatency: LatencyHistogram = new LatencyHistogram();
  #established = 0;
  #movesBegun = 0;
  #movesProven = 0;

  constructor(sources: MetricSources) {
    this.#sources = sources;
    this.#stop = sources.events.on((event) => this.#note(event));
  }

  /** Brings the numbers of sessions up to date first. */
  async families(): Promise<readonly Family[]> {
    await this.#sources.sampler.lookNow();
    return this.currentFamilies();
  }

  /** At once; numbers of sessions are a few seconds old. */
  currentFamilies(): readonly Family[] {
    return [
      ...this.#workerFamilies(),
      ...this.#handshakeFamilies(),
      ...this.#trafficFamilies(),
      ...this.#messageFamilies(),
      ...this.#sinkFamilies(),
    ];
  }

  get latencies(): readonly [Latency, Latency] {
    const store = this.#storeLatency.family(
      "usmp_store_seconds",
      "From having a message whole to having it in the store.",
    );
    const delivery = this.#deliveryLatency.family(
      "usmp_delivery_seconds",
      "From handing a message to a session to knowing that the device has it.",
    );
    return [
      { histogram: this.#storeLatency, family: store },
      { histogram: this.#deliveryLatency, family: delivery },
    ];
  }

  close(): void {
    this.#stop();
  }

  #note(event: GatewayEvent): void {
    switch (event.type) {
      case "message":
        this.#storeLatency.observe(this.#sources.wallNow() - event.message.time);
        break;
      case "outbound": {
        const { state, sentAt, endedAt } = event.message;
        increment(this.#outbound, state);
        if (state === "confirmed" && sentAt !== undefined && endedAt !== undefined) {
          this.#deliveryLatency.observe(endedAt - sentAt);
        }
        break;
      }
      case "session":
        this.#established++;
        break;
      case "session-ended":
        increment(this.#ended, event.reason.code);
        break;
      case "moved":
        if (event.move.proven) this.#movesProven++;
        else this.#movesBegun++;
        break;
      case "refused": {
        const { cause } = event.record;
        // A session that broke the protocol had its handshake behind it.
        if (cause.cause !== "malformed-frame" || cause.during === "handshake") increment(this.#refused, cause.cause);
        break;
      }
      case "registry":
      case "notice":
        break;
    }
  }

  #workerFamilies(): Family[] {
    const { listening, restarts } = this.#sources.workers;
    return [
      gauge("usmp_workers", "Worker processes that listen; 0 in a gateway of one process.", [sample(listening)]),
      counter("usmp_worker_restarts_total", "Worker processes that ended by themselves, and are started again.", [
        sample(restarts),
      ]),
    ];
  }

  #handshakeFamilies(): Family[] {
    const { server, registry, version, sampler } = this.#sources;
    const { handshakesOpen = 0, refusalsUnreported = 0 } = server()?.statistics ?? {};
    return [
      gauge("usmp_build_info", "Always 1; the labels say what runs.", [
        sample(1, { version, node: process.versions.node }),
      ]),
      gauge("usmp_devices", "Enrolled devices.", [sample(registry.deviceCount)]),
      gauge(
        "usmp_registry_age_seconds",
        "Since the copy of the registry in memory was known to be what the database holds.",
        [sample(registry.ageMs / 1_000)],
      ),
      gauge(
        "usmp_sessions",
        "Open sessions.",
        TRANSPORTS.map((transport) => sample(sampler.sessions[transport], { transport })),
      ),
      counter(
        "usmp_handshakes_total",
        "Attempts to connect that became a session, or were refused, by cause as usmp why has them.",
        [
          sample(this.#established, { outcome: "established", cause: "" }),
          ...[...this.#refused].map(([cause, count]) => sample(count, { outcome: "refused", cause })),
          sample(refusalsUnreported, { outcome: "refused", cause: "unreported" }),
        ],
      ),
      gauge("usmp_handshakes_open", "Handshakes under way.", [sample(handshakesOpen)]),
      counter(
        "usmp_sessions_ended_total",
        "Sessions that ended, by reason.",
        [...this.#ended].map(([reason, count]) => sample(count, { reason })),
      ),
      counter(
        "usmp_roams_total",
        "Sessions that followed their device to another address; false: it has yet to be proven.",
        [sample(this.#movesBegun, { proven: "false" }), sample(this.#movesProven, { proven: "true" })],
      ),
    ];
  }

  #trafficFamilies(): Family[] {
    const { sampler, server } = this.#sources;
    const both = (name: string, help: string, received: keyof SessionTotals, sent: keyof SessionTotals): Family =>
      counter(
        name,
        help,
        TRANSPORTS.flatMap((transport) => [
          sample(sampler.totals[transport][received], { direction: "in", transport }),
          sample(sampler.totals[transport][sent], { direction: "out", transport }),
        ]),
      );
    const dropped = new Map(sampler.dropped);
    for (const [cause, count] of Object.entries(server()?.statistics.dropped ?? {})) increment(dropped, cause, count);
    return [
      both("usmp_messages_total", "Messages of sessions.", "messagesReceived", "messagesSent"),
      both("usmp_bytes_total", "Bytes of sessions' frames.", "bytesReceived", "bytesSent"),
      both("usmp_frames_total", "Frames of sessions.", "framesReceived", "framesSent"),
      counter("usmp_retransmissions_total", "Frames that were sent again, over UDP.", [
        sample(sampler.totals.udp.retransmissions),
      ]),
      counter(
        "usmp_rekeys_total",
        "New epochs of keys in sessions.",
        TRANSPORTS.map((transport) => sample(sampler.totals[transport].rekeys, { transport })),
      ),
      counter(
        "usmp_dropped_total",
        "Frames and datagrams that had no effect, by cause.",
        [...dropped].map(([cause, count]) => sample(count, { cause })),
      ),
    ];
  }

  #messageFamilies(): Family[] {
    const {
      stored = 0,
      unstored = 0,
      waiting = 0,
      keptMessages = 0,
      keptBytes = 0,
      dropped,
    } = this.#sources.intake() ?? {};
    return [
      counter("usmp_stored_messages_total", "Messages of devices that came into the store.", [sample(stored)]),
      gauge("usmp_store_waiting", "Messages of devices that wait for the store.", [sample(waiting)]),
      gauge("usmp_store_messages", "Messages of devices in the store, about.", [sample(keptMessages)]),
      gauge("usmp_store_bytes", "What they take there, about.", [sample(keptBytes)]),
      counter(
        "usmp_store_dropped_total",
        "Messages of devices that left the store, or never came into it.",
        Object.entries({ ...dropped, unstored }).map(([cause, count]) => sample(count, { cause })),
      ),
      this.latencies[0].family,
      gauge("usmp_queue_depth", "Messages that wait for their devices.", [sample(this.#sources.queueDepth())]),
      counter(
        "usmp_outbound_total",
        "Messages to devices that came into a state.",
        [...this.#outbound].map(([state, count]) => sample(count, { state })),
      ),
      this.latencies[1].family,
    ];
  }

  #sinkFamilies(): Family[] {
    const statistics = this.#sources.sinks();
    return [
      gauge(
        "usmp_sink_waiting",
        "Messages that wait for a sink.",
        statistics.map(({ name, waiting }) => sample(waiting, { sink: name })),
      ),
      counter(
        "usmp_sink_delivered_total",
        "Messages that a sink has taken.",
        statistics.map(({ name, delivered }) => sample(delivered, { sink: name })),
      ),
      counter(
        "usmp_sink_failures_total",
        "Deliveries to a sink that failed; most are tried again.",
        statistics.map(({ name, failures }) => sample(failures, { sink: name })),
      ),
      counter(
        "usmp_sink_dropped_total",
        "Messages that a sink did not get, by reason.",
        statistics.flatMap(({ name, dropped }) =>
          Object.entries(dropped).map(([reason, count]) => sample(count, { sink: name, reason })),
        ),
      ),
    ];
  }
}

function increment<Key>(counts: Map<Key, number>, key: Key, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
