/** What watching costs: `node bench/observe.mjs`. A message: the metrics' listener, and a sink's buffer. A look: the counters of 10,000 sessions. */
import { systemClock } from "usmp";
import { GatewayEvents } from "../apps/gateway/dist/events/gateway-events.js";
import { GatewayMetrics } from "../apps/gateway/dist/metrics/gateway-metrics.js";
import { SessionSampler } from "../apps/gateway/dist/metrics/session-sampler.js";
import { BatchRunner, DEFAULT_RUNNER_LIMITS } from "../apps/gateway/dist/sinks/batch-runner.js";

const MESSAGES = 2_000_000;
const SESSIONS = 10_000;

const message = {
  id: 1,
  device: "02:00:00:00:00:01",
  session: "ab".repeat(16),
  sequence: 1,
  time: Date.now(),
  transport: "udp",
  data: new Uint8Array(20),
};

/** @param {string} what @param {(events: GatewayEvents) => void} listen */
function perMessage(what, listen) {
  const events = new GatewayEvents();
  listen(events);
  const event = /** @type {const} */ ({ type: "message", message });
  for (let i = 0; i < MESSAGES / 10; i++) events.emit(event);
  const began = performance.now();
  for (let i = 0; i < MESSAGES; i++) events.emit(event);
  console.log(`${what}: ${(((performance.now() - began) * 1e6) / MESSAGES).toFixed(0)} ns a message`);
}

perMessage("nobody listens", () => {});
perMessage("metrics", (events) => {
  const sampler = new SessionSampler(systemClock, Date.now);
  sampler.close();
  new GatewayMetrics({
    version: "bench",
    server: () => undefined,
    registry: { deviceCount: 0, ageMs: 0 },
    events,
    sampler,
    sinks: () => [],
    wallNow: Date.now,
    queueDepth: () => 0,
    intake: () => undefined,
  });
});
perMessage("a sink that hangs, its buffer full", (events) => {
  const runner = new BatchRunner({
    deliver: () => new Promise(() => {}),
    sizeOf: ({ data }) => data.length + 200,
    limits: DEFAULT_RUNNER_LIMITS,
    clock: systemClock,
    random: Math.random,
    onTrouble: () => {},
  });
  events.on((event) => event.type === "message" && runner.offer(event.message));
});

const sampler = new SessionSampler(systemClock, Date.now);
for (let i = 0; i < SESSIONS; i++) {
  const counters = {
    framesSent: i,
    framesReceived: i,
    bytesSent: i,
    bytesReceived: i,
    messagesSent: i,
    messagesReceived: i,
    retransmissions: 0,
    drops: new Map(),
  };
  const session = {
    transport: "udp",
    open: true,
    closed: new Promise(() => {}),
    // As LiveSession makes it.
    get statistics() {
      return {
        framesSent: counters.framesSent,
        framesReceived: counters.framesReceived,
        bytesSent: counters.bytesSent,
        bytesReceived: counters.bytesReceived,
        messagesSent: counters.messagesSent,
        messagesReceived: counters.messagesReceived,
        retransmissions: counters.retransmissions,
        dropped: Object.fromEntries(counters.drops),
        epoch: 0,
        roundTripMs: undefined,
      };
    },
  };
  sampler.add(/** @type {any} */ ({ session, generation: 1 }));
}
for (let i = 0; i < 5; i++) await sampler.lookNow();
const before = process.cpuUsage();
const began = performance.now();
for (let i = 0; i < 20; i++) await sampler.lookNow();
const { user, system } = process.cpuUsage(before);
console.log(
  `a look at ${SESSIONS} sessions: ${((performance.now() - began) / 20).toFixed(1)} ms, ${((user + system) / 20_000).toFixed(1)} ms of CPU`,
);
process.exit();
