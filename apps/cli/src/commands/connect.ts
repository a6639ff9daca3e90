import { Command } from "commander";
import type { Link, Session } from "usmp";
import { formatAddress } from "usmp";
import { Conversation } from "../conversation.ts";
import type { Environment, ExitCode } from "../environment.ts";
import { closedEvent } from "../events.ts";
import { LinkConversation } from "../link-conversation.ts";
import { addJsonOption, addTargetOptions, type TargetOptions } from "../options.ts";
import type { Reporter } from "../reporter.ts";
import { isInteractive, Terminal } from "../terminal.ts";
import type { CommandContext } from "./context.ts";
import { openLink, openSession } from "./target.ts";

interface ConnectCommandOptions extends TargetOptions {
  readonly echo?: boolean;
  readonly raw?: boolean;
  readonly reconnect?: boolean;
}

export function connectCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("connect")
    .description("open a session: what is typed is sent, what comes is printed")
    .argument("<host:port>", "where the server listens");
  return addJsonOption(
    addTargetOptions(command)
      .option("--echo", "send back whatever comes, until BYE or the connection's end, whatever standard input does")
      .option("--raw", "send every line as it is: no /commands")
      .option("--reconnect", "keep a link that comes back by itself until it is ended here"),
  )
    .addHelpText("after", HELP)
    .action((address: string, options: ConnectCommandOptions) =>
      perform(options, async (reporter) => {
        if (options.reconnect) {
          const link = await openLink(address, options, environment, reporter);
          return converseOverLink(link, options, environment, reporter);
        }
        const session = await openSession(address, options, environment, reporter);
        return converse(session, options, environment, reporter);
      }),
    );
}

async function converse(
  session: Session,
  options: ConnectCommandOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const terminal =
    !options.json && isInteractive(environment) ? new Terminal(environment, () => statusOf(session)) : undefined;
  if (terminal) reporter.printThrough(terminal);
  const close = (): void => void session.close();
  environment.signal.addEventListener("abort", close, { once: true });
  if (environment.signal.aborted) close();

  const conversation = new Conversation(
    session,
    options,
    reporter,
    terminal ?? environment.lines,
    environment.stderr,
    terminal,
  );
  const received = conversation.receiveAll();
  await Promise.race([conversation.readLines(), session.closed]);
  if (terminal === undefined && session.transport === "tcp" && !environment.signal.aborted) await settle(session);
  if (options.echo && !conversation.byeAsked) await session.closed;
  const reason = await session.close();
  await received;

  terminal?.close();
  await reporter.event(closedEvent(session, reason), environment.stderr);
  const orderly = reason.code === "closed-locally" || reason.code === "closed-by-peer";
  // On a terminal a person has seen what went wrong, and gone on.
  const allDone = terminal !== undefined || conversation.failures === 0;
  return orderly && allDone ? 0 : 1;
}

/** Until the lines end and everything has its fate, or /bye; a server that is not there is waited for. */
async function converseOverLink(
  link: Link,
  options: ConnectCommandOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const { signal, lines, stderr } = environment;
  const terminal =
    !options.json && isInteractive(environment) ? new Terminal(environment, () => linkStatus(link)) : undefined;
  if (terminal) reporter.printThrough(terminal);
  const close = (): void => void link.close();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();

  const conversation = new LinkConversation(link, options, reporter, terminal ?? lines, stderr, terminal);
  const told = conversation.tellStates();
  const received = conversation.receiveAll();
  await Promise.race([conversation.readLines(), link.closed]);
  if (terminal === undefined && !conversation.byeAsked && !signal.aborted) {
    await Promise.race([link.flushed(), link.closed]);
    if (link.session !== undefined) await settle(link.session);
  }
  if (options.echo && !conversation.byeAsked) await link.closed;
  const end = await link.close();
  await Promise.all([told, received]);
  await conversation.fatesTold();

  terminal?.close();
  const allDone = terminal !== undefined || conversation.failures === 0;
  return end.code === "closed-locally" && allDone ? 0 : 1;
}

/**
 * On TCP `send` means that the kernel has the message. A PONG means more: the peer has taken all that was sent before its PING. What
 * it answers at once is here with the second. A peer that answers no PING in time, or at all, is left all the same.
 */
async function settle(session: Session): Promise<void> {
  const signal = AbortSignal.timeout(SETTLE_TIMEOUT_MS);
  try {
    await session.ping({ signal });
    await session.ping({ signal });
  } catch {
    // The session has ended, which is told with its reason, or the peer is not in the mood to answer.
  }
}

const SETTLE_TIMEOUT_MS = 2_000;

function linkStatus(link: Link): string {
  if (link.session !== undefined) return statusOf(link.session);
  const { state, statistics, target, deviceId } = link;
  const waiting = `${state.name} | ${statistics.pending} waiting`;
  return [waiting, `${target.transport} ${formatAddress(target)}`, deviceId].join(" | ");
}

function statusOf({ transport, peer, deviceId, statistics, open }: Session): string {
  const { roundTripMs, messagesSent, messagesReceived, epoch } = statistics;
  return [
    open ? "open" : "closed",
    roundTripMs === undefined ? "rtt ? (/ping)" : `rtt ${roundTripMs.toFixed(1)} ms`,
    `sent ${messagesSent}`,
    `received ${messagesReceived}`,
    `epoch ${epoch}`,
    `${transport} ${formatAddress(peer)}`,
    deviceId,
  ].join(" | ");
}

const HELP = `
Lines that begin with a slash are commands: /ping /rekey /stats /bye /help (//x sends /x; --raw turns them off).
When standard input is no terminal, each line is a message, and the exit waits for the last acknowledgement.
Messages go to standard output, all else to standard error.

Examples:
  $ usmp connect 192.168.1.20:9000 --psk-file key.txt
  $ usmp connect [fe80::1]:9000 --udp --device-id 02:00:00:00:00:01 --psk-file key.txt
  $ printf 'one\\ntwo\\n' | usmp connect localhost:9000 --psk-file key.txt
  $ usmp connect localhost:9000 --psk-file key.txt --echo < /dev/null      a device that answers
  $ usmp connect localhost:9000 --psk-file key.txt --reconnect             outlives restarts of the server`;
