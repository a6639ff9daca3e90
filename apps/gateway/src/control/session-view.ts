import type { GatewaySession } from "../gateway/gateway.ts";
import type { SessionPace } from "../metrics/session-sampler.ts";
import { formatTime } from "../records.ts";
import type { SessionView } from "./methods.ts";
import { hostAndPort } from "./views.ts";

const NOT_LOOKED_AT: SessionPace = { rate: 0, since: 0, seenAt: 0 };

export function sessionView(
  { session, generation }: GatewaySession,
  name: string | undefined,
  pace: SessionPace = NOT_LOOKED_AT,
): SessionView {
  const { deviceId, sessionId, peer, statistics } = session;
  const { framesSent, retransmissions, roundTripMs } = statistics;
  const sendings = framesSent + retransmissions;
  return {
    device: deviceId,
    name: name ?? null,
    session: sessionId,
    transport: peer.transport,
    peer: hostAndPort(peer),
    generation,
    since: formatTime(pace.since),
    lastSeenAt: formatTime(pace.seenAt),
    messagesIn: statistics.messagesReceived,
    messagesOut: statistics.messagesSent,
    bytesIn: statistics.bytesReceived,
    bytesOut: statistics.bytesSent,
    rate: rounded(pace.rate),
    roundTripMs: roundTripMs === undefined ? null : rounded(roundTripMs),
    loss: peer.transport === "tcp" ? null : sendings === 0 ? 0 : rounded(retransmissions / sendings),
  };
}

/** Clocks give more digits than they know. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
