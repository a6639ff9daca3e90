import { metrics, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inbound } from "../sinks/messages.ts";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

let home: TestHome;
const spans = new InMemorySpanExporter();
const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
let provider: MeterProvider;

beforeEach(() => {
  home = new TestHome(undefined);
  const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 });
  provider = new MeterProvider({ readers: [reader] });
  metrics.setGlobalMeterProvider(provider);
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
});
afterEach(async () => {
  await provider.shutdown();
  metrics.disable();
  trace.disable();
  await home.remove();
});

test("an SDK that was registered before gets the metrics, and a span for each session", async () => {
  const testGateway = await TestGateway.open(home);
  const { id, psk } = await testGateway.add();
  const session = await testGateway.device(id, psk, "udp");
  for (const text of ["one", "two"]) await session.send(text);
  testGateway.gateway.events.emit({ type: "message", message: inbound(1) });
  await provider.forceFlush();
  const [resource] = exported.getMetrics();
  const [scope] = resource?.scopeMetrics ?? [];
  expect(scope?.scope).toMatchObject({ name: "usmp", version: "test" });
  const points = (name: string) =>
    scope?.metrics
      .find(({ descriptor }) => descriptor.name === name)
      ?.dataPoints.map(({ attributes, value }) => ({
        ...attributes,
        value,
      }));
  expect(points("usmp_sessions")).toContainEqual({ transport: "udp", value: 1 });
  expect(points("usmp_messages")).toContainEqual({ direction: "in", transport: "udp", value: 2 });
  expect(points("usmp_handshakes")).toContainEqual({ outcome: "refused", cause: "wrong-key", value: 0 });
  expect(points("usmp_store_seconds")).toHaveLength(1);

  expect(spans.getFinishedSpans()).toEqual([]);
  await session.close();
  await expect.poll(() => spans.getFinishedSpans().length).toBe(1);
  const [span] = spans.getFinishedSpans();
  expect(span?.name).toBe("usmp.session");
  expect(span?.attributes).toMatchObject({
    "usmp.device": id,
    "usmp.session": session.sessionId,
    "usmp.key_generation": 1,
    "usmp.reason": "closed-by-peer",
    "network.transport": "udp",
  });
});
