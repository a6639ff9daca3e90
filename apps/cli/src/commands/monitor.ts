import { setTimeout as wait } from "node:timers/promises";
import type { ControlClient, SessionView } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import type { Environment, ExitCode } from "../environment.ts";
import { Screen } from "../monitor/screen.ts";
import { monitorTable, NO_LIMIT } from "../monitor/table.ts";
import { duration } from "../options.ts";
import type { Reporter } from "../reporter.ts";
import type { CommandContext } from "./context.ts";

interface MonitorOptions extends ControlOptions {
  readonly once?: boolean;
  readonly interval: number;
}

const DEFAULT_INTERVAL_MS = 2_000;

/** Live sessions, again and again. */
export function monitorCommand(context: CommandContext): Command {
  const command = new Command("monitor")
    .description("show the live sessions, the busiest first, and keep them up to date")
    .option("--once", "show them once")
    .option(
      "--interval <time>",
      "how long between two looks: 1s, 5s; 2s when not given",
      duration("--interval"),
      DEFAULT_INTERVAL_MS,
    );
  return addControlOptions(command)
    .addHelpText("after", HELP)
    .action((options: MonitorOptions) =>
      withGateway(context, options, (gateway, reporter) => monitor(gateway, options, context.environment, reporter)),
    );
}

async function monitor(
  gateway: ControlClient,
  options: MonitorOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const { stdout, signal, variables } = environment;
  const onScreen = Boolean(stdout.isTTY) && variables["TERM"] !== "dumb" && !options.json && !options.once;
  let sessions: readonly SessionView[] = [];
  let screen: Screen | undefined;
  try {
    for (;;) {
      sessions = await sessionsOf(gateway);
      if (onScreen) {
        screen ??= new Screen(stdout, (room) => monitorTable(sessions, environment.now(), room));
        screen.refresh();
      } else await print(sessions, options, environment, reporter);
      if (options.once) return 0;
      await wait(options.interval, undefined, { signal });
    }
  } catch (error) {
    // Whoever interrupts has seen enough; the connection ends with that, too.
    if (!signal.aborted) throw error;
    return 0;
  } finally {
    screen?.close();
  }
}

async function sessionsOf(gateway: ControlClient): Promise<readonly SessionView[]> {
  const sessions: SessionView[] = [];
  for await (const session of gateway.stream("session.list", {})) sessions.push(session);
  return sessions;
}

async function print(
  sessions: readonly SessionView[],
  { json, once }: MonitorOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<void> {
  if (json) {
    for (const session of sessions) await reporter.event({ event: "live", ...session });
    return;
  }
  for (const line of monitorTable(sessions, environment.now(), NO_LIMIT)) await reporter.line(line);
  if (!once) await reporter.line("");
}

const HELP = `
"by" is the transport, "key" the generation of the key that was proven, "rate" messages a second both ways in the last seconds, "rtt" the round
trip, "loss" the share of frames that had to be sent again; "-" is what is not known: over TCP no loss, and no round trip before a PING.

Examples:
  $ usmp monitor                                      until Ctrl-C
  $ usmp monitor --once
  $ usmp monitor --json | jq -c 'select(.loss > 0.1)'`;
