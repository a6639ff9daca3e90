import type { SessionView } from "@usmp/gateway";
import { escapeUnprintable } from "../printable.ts";

export interface TableRoom {
  readonly columns: number;
  readonly rows: number;
}

/** Unlimited: what a pipe gets. */
export const NO_LIMIT: TableRoom = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };

const HEAD = ["device", "address", "by", "key", "seen", "rate", "rtt", "loss", "name"];
/** Numbers stand at the right of their columns. */
const RIGHT: ReadonlySet<number> = new Set([3, 4, 5, 6, 7]);
/** So that columns seldom move from one picture to the next; IPv6 addresses widen theirs. */
const LEAST_WIDTHS = [17, 15, 3, 3, 5, 6, 7, 6, 0];

/**
 * The table of live sessions, as wg show has its peers: the busiest first, as many as there is room for, with a line that says how many are
 * left out. Names are shown with everything unprintable escaped, and last, where their width moves nothing.
 */
export function monitorTable(sessions: readonly SessionView[], now: Date, { columns, rows }: TableRoom): string[] {
  const sorted = [...sessions].sort((a, b) => b.rate - a.rate || a.device.localeCompare(b.device));
  const room = Math.max(1, rows - LINES_AROUND);
  const shown = sorted.length <= room ? sorted : sorted.slice(0, Math.max(1, room - 1));
  const cells = shown.map((session) => cellsOf(session, now));
  const widths = LEAST_WIDTHS.map((least, index) =>
    Math.max(least, ...cells.map((row) => (row[index] as string).length)),
  );
  const lines = [title(sessions, now), "", ...[HEAD, ...cells].map((row) => rowText(row, widths))];
  const left = sorted.length - shown.length;
  if (left > 0) lines.push(`… and ${left} more that are less busy`);
  return lines.map((line) => cutTo(line, columns));
}

/** Title, an empty line, and the heads. */
const LINES_AROUND = 3;

function title(sessions: readonly SessionView[], now: Date): string {
  const udp = sessions.filter(({ transport }) => transport === "udp").length;
  const rate = sessions.reduce((sum, session) => sum + session.rate, 0);
  const count = sessions.length === 1 ? "1 session" : `${sessions.length} sessions`;
  return `${now.toLocaleTimeString("en-GB")}  ${count} (${sessions.length - udp} tcp, ${udp} udp)  ${rateText(rate)} messages`;
}

function cellsOf(session: SessionView, now: Date): string[] {
  const { device, name, peer, transport, generation, lastSeenAt, rate, roundTripMs, loss } = session;
  return [
    device,
    peer,
    transport,
    String(generation),
    agoText(now.getTime() - Date.parse(lastSeenAt)),
    rateText(rate),
    roundTripMs === null ? "-" : `${threeDigits(roundTripMs)} ms`,
    loss === null ? "-" : `${threeDigits(loss * 100)} %`,
    name === null ? "" : escapeUnprintable(name),
  ];
}

function rowText(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, index) => {
      const width = widths[index] as number;
      if (index === cells.length - 1) return cell;
      return RIGHT.has(index) ? cell.padStart(width) : cell.padEnd(width);
    })
    .join("  ")
    .trimEnd();
}

/** Clocks of two hosts may differ: nothing was seen in the future. */
function agoText(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1_000));
  if (seconds < 2) return "now";
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function rateText(perSecond: number): string {
  return `${threeDigits(perSecond)}/s`;
}

function threeDigits(value: number): string {
  if (value === 0) return "0";
  return value >= 100 ? String(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2);
}

/** Cut by characters; wide ones make a line longer than that, and the terminal is told not to wrap. */
function cutTo(line: string, columns: number): string {
  const characters = [...line];
  return characters.length <= columns ? line : `${characters.slice(0, columns - 1).join("")}…`;
}
