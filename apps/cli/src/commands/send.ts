import { Command } from "commander";
import type { Session } from "usmp";
import type { Environment, ExitCode } from "../environment.ts";
import { closedEvent, messageEvent, sentEvent } from "../events.ts";
import { CommandError } from "../failure.ts";
import { addJsonOption, addTargetOptions, type TargetOptions, wholeNumber } from "../options.ts";
import { display } from "../printable.ts";
import type { Reporter } from "../reporter.ts";
import type { CommandContext } from "./context.ts";
import { openSession } from "./target.ts";

interface SendOptions extends TargetOptions {
  /** Replies to wait for. */
  readonly wait: number;
}

export function sendCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("send")
    .description("connect, send messages, print replies, leave")
    .argument("<host:port>", "where the server listens")
    .argument("<message...>", "each is sent as one message of at most 1,808 bytes");
  return addJsonOption(addTargetOptions(command))
    .option(
      "--wait <n>",
      "print up to this many replies; fewer within --timeout is a failure",
      wholeNumber("--wait", 0),
      0,
    )
    .addHelpText("after", HELP)
    .action((address: string, messages: string[], options: SendOptions) =>
      perform(options, (reporter) => send(address, messages, options, environment, reporter)),
    );
}

async function send(
  address: string,
  messages: readonly string[],
  options: SendOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const session = await openSession(address, options, environment, reporter);
  try {
    for (const message of messages) {
      await session.send(message, { signal: environment.signal });
      await reporter.event(sentEvent(session, Buffer.byteLength(message)), environment.stderr);
    }
    await printReplies(session, options, environment, reporter);
    return 0;
  } finally {
    await reporter.event(closedEvent(session, await session.close()), environment.stderr);
  }
}

async function printReplies(
  session: Session,
  options: SendOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<void> {
  const patience = AbortSignal.timeout(options.timeout * 1000);
  const signal = AbortSignal.any([environment.signal, patience]);
  for (let received = 0; received < options.wait; received++) {
    const message = await session.receive({ signal }).catch((error: unknown) => {
      if (!patience.aborted) throw error;
      throw new CommandError("no-reply", `${received} of ${options.wait} replies came within ${options.timeout} s`, 1);
    });
    if (message === undefined) {
      throw new CommandError("no-reply", `the session ended after ${received} of ${options.wait} replies`, 1);
    }
    if (options.json) await reporter.event(messageEvent(session, message));
    else await reporter.line(display(message));
  }
}

const HELP = `
Each failure has its word: unreachable (nothing listens there), handshake-timeout (no answer), refused-by-server (wrong
key, or unknown device), server-not-authentic (the server holds another key), no-reply.

Examples:
  $ usmp send 192.168.1.20:9000 "light on" --psk-file key.txt
  $ usmp send 192.168.1.20:9000 status --wait 1 --udp --psk-file key.txt
  $ USMP_PSK_FILE=key.txt usmp send localhost:9000 one two three --wait 3 --timeout 2`;
