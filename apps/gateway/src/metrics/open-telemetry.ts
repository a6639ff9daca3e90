import type * as OpenTelemetry from "@opentelemetry/api";
import type { GatewayEvents, SessionFacts } from "../events/gateway-events.ts";
import type { Family } from "./family.ts";
import type { GatewayMetrics } from "./gateway-metrics.ts";

type Api = typeof OpenTelemetry;
type Observable = ReturnType<ReturnType<Api["metrics"]["getMeter"]>["createObservableCounter"]>;
type Span = ReturnType<ReturnType<Api["trace"]["getTracer"]>["startSpan"]>;

const SCOPE = "usmp";

/**
 * Gives the metrics, and a span for each session, to OpenTelemetry, when its API is installed; an SDK that was registered before the gateway
 * opens takes them from there, and without one nothing happens. Resolves with what ends it.
 */
export async function reportToOpenTelemetry(
  metrics: GatewayMetrics,
  events: GatewayEvents,
  version: string,
): Promise<() => void> {
  let api: Api;
  try {
    api = await import("@opentelemetry/api");
  } catch {
    return () => {}; // an optional peer
  }
  const ends = [reportMetrics(api, metrics, version), reportSessions(api, events, version)];
  return () => {
    for (const end of ends) end();
  };
}

/** Exporters to Prometheus append the "_total" of counters themselves. */
function instrumentName(family: Family): string {
  return family.name.replace(/_total$/, "");
}

function reportMetrics({ metrics: global }: Api, metrics: GatewayMetrics, version: string): () => void {
  const meter = global.getMeter(SCOPE, version);
  const instruments = new Map<string, Observable>();
  for (const family of metrics.currentFamilies()) {
    const options = { description: family.help };
    if (family.type === "histogram") continue;
    const name = instrumentName(family);
    const instrument =
      family.type === "counter"
        ? meter.createObservableCounter(name, options)
        : meter.createObservableGauge(name, options);
    instruments.set(family.name, instrument);
  }
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = async (result) => {
    for (const { name, samples } of await metrics.families()) {
      const instrument = instruments.get(name);
      if (instrument === undefined) continue;
      for (const { value, labels } of samples) result.observe(instrument, value, labels);
    }
  };
  meter.addBatchObservableCallback(observe, [...instruments.values()]);
  for (const { family, histogram } of metrics.latencies) {
    const { name, help } = family;
    const instrument = meter.createHistogram(name, { description: help, unit: "s" });
    histogram.mirror((seconds) => instrument.record(seconds));
  }
  return () => {
    meter.removeBatchObservableCallback(observe, [...instruments.values()]);
    for (const { histogram } of metrics.latencies) histogram.mirror(undefined);
  };
}

/** A span is as long as its session. Those that the SDK does not sample are not kept. */
function reportSessions({ trace }: Api, events: GatewayEvents, version: string): () => void {
  const tracer = trace.getTracer(SCOPE, version);
  const open = new Map<string, Span>();
  const stop = events.on((event) => {
    if (event.type === "session") {
      const span = tracer.startSpan("usmp.session", { startTime: event.time, attributes: attributesOf(event) });
      if (span.isRecording()) open.set(event.session, span);
    } else if (event.type === "moved") {
      open.get(event.session)?.addEvent("moved", { "usmp.proven": event.move.proven }, event.time);
    } else if (event.type === "session-ended") {
      open.get(event.session)?.setAttribute("usmp.reason", event.reason.code).end(event.time);
      open.delete(event.session);
    }
  });
  return () => {
    stop();
    for (const span of open.values()) span.end();
    open.clear();
  };
}

function attributesOf({ device, session, generation, peer }: SessionFacts): Record<string, string | number> {
  return {
    "usmp.device": device,
    "usmp.session": session,
    "usmp.key_generation": generation,
    "network.transport": peer.transport,
    "network.peer.address": peer.host,
    "network.peer.port": peer.port,
  };
}
