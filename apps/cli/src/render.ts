import { styleText } from "node:util";
import { formatAddress } from "usmp";
import { settingLine } from "./configuration/print.ts";
import type { OutputStream } from "./environment.ts";
import type { CliEvent, KeyEvent } from "./events.ts";
import { describeFleet, FLEET_STYLES } from "./fleet-events.ts";
import { display, escapeUnprintable } from "./printable.ts";

/** An event in one line for people. Colours follow the stream (a terminal or not) and NO_COLOR. */
export function renderEvent(event: CliEvent, stream: OutputStream): string {
  const label = styleText(LABEL_STYLE[event.event], event.event.padEnd(LABEL_WIDTH), { stream });
  return `${label} ${escapeUnprintable(describeEvent(event))}`;
}

/** A time in RFC 3339 as this host's clocks show it. */
export function localTime(time: string): string {
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, "0");
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}

/** What a key is, without saying what it is. */
function describeKey({ form, bytes, source, admits, note }: KeyEvent): string {
  const written = form === "hex" ? `${bytes} bytes, written as hex digits` : `${bytes} bytes of text`;
  return [
    `${written} (${source})`,
    ...(admits === undefined ? [] : [`this key admits ${admits}`]),
    ...(note === undefined ? [] : [note]),
  ].join("; ");
}

const LABEL_WIDTH = 10;
/** Enough of a session id to tell a device's sessions apart. */
const SHORT_SESSION = 8;

const LABEL_STYLE = {
  key: "cyan",
  gateway: "cyan",
  listening: "cyan",
  address: "cyan",
  notice: "yellow",
  device: "cyan",
  live: "green",
  skipped: "yellow",
  deleted: "yellow",
  seen: "cyan",
  outbound: "cyan",
  connecting: "cyan",
  session: "green",
  message: "bold",
  sent: "gray",
  pong: "gray",
  rekeyed: "gray",
  stats: "gray",
  moved: "yellow",
  closed: "yellow",
  link: "cyan",
  undelivered: "red",
  refused: "red",
  worker: "yellow",
  setting: "cyan",
  service: "cyan",
  unit: "cyan",
  error: "red",
  ...FLEET_STYLES,
} as const;

/** An event in words, with whatever foreign texts hold in it. */
export function describeEvent(event: CliEvent): string {
  switch (event.event) {
    case "key":
      return describeKey(event);
    case "gateway":
      return `${event.data}${event.created ? " (new)" : ""}, ${event.devices} ${event.devices === 1 ? "device" : "devices"}${event.dev ? ", DEVELOPMENT MODE" : ""}`;
    case "address":
      return `${event.transport} ${formatAddress(event)} is where devices on the network connect`;
    case "notice":
      return `${event.topic}: ${event.message}`;
    case "device":
      return `${event.id} ${event.state}`;
    case "live":
      return `${event.device} ${event.transport} ${event.peer} ${event.rate}/s`;
    case "skipped":
      return `${event.id} ${event.reason}`;
    case "deleted":
      return `${event.id} generation ${event.generation}`;
    case "seen":
      return `${event.id} ${event.transport} ${event.source}`;
    case "outbound":
      return describeOutbound(event);
    case "listening":
      return `${event.transport} ${formatAddress(event)}`;
    case "connecting":
      return `${event.transport} ${formatAddress(event)} as ${event.device}${event.randomDevice ? " (random)" : ""}`;
    case "session":
      return `${event.device} ${event.session} ${event.transport} ${event.peer}${event.generation === undefined ? "" : ` key ${event.generation}`}${event.name === undefined ? "" : ` "${event.name}"`}`;
    case "message":
      return `${who(event)} ${display(Buffer.from(event.data, "base64"))}`;
    case "sent":
      return `${who(event)} ${event.bytes} bytes`;
    case "pong":
      return `${who(event)} ${event.roundTripMs} ms`;
    case "rekeyed":
      return `${who(event)} epoch ${event.epoch}`;
    case "stats":
      return `${who(event)} ${describeStatistics(event)}`;
    case "moved":
      return `${who(event)} from ${event.from} to ${event.to}${event.proven ? "" : ", which has yet to prove itself"}`;
    case "closed":
      return `${who(event)} ${event.reason}: ${event.description}`;
    case "link":
      return describeLink(event);
    case "undelivered":
      return `${event.device} ${event.bytes} bytes ${event.fate}: ${event.cause}`;
    case "refused":
      return `${event.device ?? "no device id"} ${event.transport} ${event.peer} ${event.cause}: ${event.description}${event.omitted === undefined ? "" : ` (and ${event.omitted} not printed before)`}`;
    case "worker":
      return `${event.worker} ${event.state}, pid ${event.pid}${event.state === "started" ? "" : `: ${event.cause}; ${event.lostSessions} sessions were lost, it comes back in ${(event.restartInMs ?? 0) / 1000} s`}`;
    case "verdict":
    case "master":
    case "backup":
    case "restore":
    case "change":
    case "restored":
    case "token":
    case "api":
      return describeFleet(event);
    case "service":
      return describeService(event);
    case "unit":
      return event.path;
    case "setting":
      return settingLine(event);
    case "error":
      return `${event.code}: ${event.message}`;
  }
}

function describeService({
  unit,
  state,
  enabled,
  pid,
  restarts,
  data,
  version,
}: CliEvent & { event: "service" }): string {
  const process = pid === null ? "" : `, pid ${pid}`;
  const answer = version === null ? "no gateway answers" : `gateway ${version} answers`;
  const often = restarts === 0 ? "" : `, started again ${restarts} times`;
  return `${unit} ${state}${process}${often}, ${enabled ? "" : "not "}started at boot; ${answer} on ${data}`;
}

function describeOutbound(event: CliEvent & { event: "outbound" }): string {
  const { message, device, state, expiresAt, attempts, maybeTwice } = event;
  const waits = state === "queued" ? `, at most until ${localTime(expiresAt)}` : "";
  const tries = attempts > 1 ? `, handed over ${attempts} times` : "";
  return `${message} to ${device} is ${state}${waits}${tries}${maybeTwice ? ", may have arrived twice" : ""}`;
}

function describeLink({ device, state, attempt, retryInMs, cause, description }: CliEvent & { event: "link" }): string {
  const when = retryInMs === undefined ? "" : `, next try in ${(retryInMs / 1000).toFixed(1)} s`;
  const which = attempt === undefined ? "" : `, attempt ${attempt}`;
  return `${device} ${state}${which}${when}${cause === undefined ? "" : ` (${cause}: ${description})`}`;
}

function describeStatistics(stats: CliEvent & { event: "stats" }): string {
  const dropped = Object.entries(stats.dropped).map(([cause, count]) => `${count} ${cause}`);
  return [
    `sent ${stats.messagesSent} messages, ${stats.framesSent} frames, ${stats.bytesSent} bytes`,
    `received ${stats.messagesReceived} messages, ${stats.framesReceived} frames, ${stats.bytesReceived} bytes`,
    `retransmissions ${stats.retransmissions}`,
    `epoch ${stats.epoch}`,
    `round trip ${stats.roundTripMs === null ? "not measured" : `${stats.roundTripMs} ms`}`,
    `dropped ${dropped.length === 0 ? "none" : dropped.join(", ")}`,
  ].join("; ");
}

function who({ device, session }: { readonly device: string; readonly session: string }): string {
  return `${device} ${session.slice(0, SHORT_SESSION)}`;
}
