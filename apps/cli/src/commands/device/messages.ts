import type { ControlClient, OutboundState, OutboundView } from "@usmp/gateway";
import { Command, Option } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../../control-command.ts";
import type { Environment, ExitCode } from "../../environment.ts";
import { usage } from "../../failure.ts";
import { duration, wholeNumber } from "../../options.ts";
import { localTime } from "../../render.ts";
import type { Reporter } from "../../reporter.ts";
import type { CommandContext } from "../context.ts";

/** One message has 1,808 bytes at most: what is longer by far need not be read to its end to be refused. */
const MOST_INPUT_BYTES = 65_536;
const STATES: readonly OutboundState[] = ["queued", "sent", "confirmed", "expired", "cancelled"];
const HEX = /^(?:[0-9a-f]{2})*$/i;
const BASE64 = /^(?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?$/i;

interface SendOptions extends ControlOptions {
  readonly hex?: boolean;
  readonly base64?: boolean;
  readonly ttl?: number;
  readonly key?: string;
  readonly wait?: boolean;
}

/** Messages to devices: sending, and what became of them. */
export function messageCommands(context: CommandContext): Command[] {
  return [sendCommand(context), queueCommand(context), followCommand(context), cancelCommand(context)];
}

function sendCommand(context: CommandContext): Command {
  const command = new Command("send")
    .description("send a message to a device: at once, or when it is back")
    .argument("<id>")
    .argument("<message>", "text of at most 1,808 bytes; - takes all of standard input, as it is")
    .addOption(new Option("--hex", "the message is given in hex digits").conflicts("base64"))
    .addOption(new Option("--base64", "the message is given in base64"))
    .option("--ttl <time>", "how long it may wait: 30s, 10m, 1h, 7d", duration("--ttl"))
    .option("--key <name>", "your own name for this message: sent again under it, it is not queued twice")
    .option("--wait", "wait until the device has it; fails when it expires or is cancelled");
  return addControlOptions(command)
    .addHelpText("after", SEND_HELP)
    .action((id: string, message: string, options: SendOptions) =>
      withGateway(
        context,
        options,
        async (gateway, reporter) => {
          const given = message === "-" ? await readInput(context.environment) : Buffer.from(message);
          const { ttl, key } = options;
          const queued = await gateway.call("message.send", {
            id,
            data: decode(given, options).toString("base64"),
            ...(ttl === undefined ? {} : { ttlMs: ttl }),
            ...(key === undefined ? {} : { key }),
          });
          if (options.wait) return followToEnd(gateway, queued.message, reporter);
          await reporter.event({ event: "outbound", ...queued });
          return 0;
        },
        () => {
          if (message !== "-") decode(Buffer.from(message), options);
        },
      ),
    );
}

function queueCommand(context: CommandContext): Command {
  const command = new Command("queue")
    .description("list messages to devices, in the order in which they were queued")
    .argument("[id]", "those to this device alone")
    .addOption(
      new Option("--state <state>", "those in this state; without it those that wait, sent ones included").choices(
        STATES,
      ),
    );
  return addControlOptions(command)
    .addHelpText("after", QUEUE_HELP)
    .action((id: string | undefined, options: ControlOptions & { readonly state?: OutboundState }) =>
      withGateway(context, options, async (gateway, reporter) => {
        const { state } = options;
        const wanted = { ...(id === undefined ? {} : { id }), ...(state === undefined ? {} : { state }) };
        let count = 0;
        for await (const message of gateway.stream("message.queue", wanted)) {
          if (!options.json && count === 0) await reporter.line(HEADING);
          count++;
          if (options.json) await reporter.event({ event: "outbound", ...message });
          else await reporter.line(messageRow(message));
        }
        if (count === 0 && !options.json)
          await reporter.line(state === undefined ? "nothing waits" : `none is ${state}`);
        return 0;
      }),
    );
}

function followCommand(context: CommandContext): Command {
  const command = new Command("follow")
    .description("show what becomes of a message, until the device has it; fails when it expires or is cancelled")
    .argument("<number>", "the message's number", wholeNumber("NUMBER", 1));
  return addControlOptions(command)
    .addHelpText("after", "\nExamples:\n  $ usmp device follow 4711")
    .action((message: number, options: ControlOptions) =>
      withGateway(context, options, (gateway, reporter) => followToEnd(gateway, message, reporter)),
    );
}

function cancelCommand(context: CommandContext): Command {
  const command = new Command("cancel")
    .description("take a message back that waits; one that is on its way is not stopped any more")
    .argument("<number>", "the message's number", wholeNumber("NUMBER", 1));
  return addControlOptions(command)
    .addHelpText("after", "\nExamples:\n  $ usmp device cancel 4711")
    .action((message: number, options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        await reporter.event({ event: "outbound", ...(await gateway.call("message.cancel", { message })) });
        return 0;
      }),
    );
}

/** Reports each state. 0: the device has it. */
async function followToEnd(gateway: ControlClient, message: number, reporter: Reporter): Promise<ExitCode> {
  let state: OutboundState = "queued";
  for await (const step of gateway.stream("message.follow", { message })) {
    state = step.state;
    await reporter.event({ event: "outbound", ...step });
  }
  return state === "confirmed" ? 0 : 1;
}

function decode(bytes: Buffer, { hex, base64 }: SendOptions): Buffer {
  if (!hex && !base64) return bytes;
  const digits = bytes.toString("latin1").replaceAll(/\s+/g, "");
  if (hex && !HEX.test(digits))
    throw usage("the message is not in hex digits, two for each byte; leave --hex out for text");
  if (base64 && !BASE64.test(digits))
    throw usage("the message is not in base64 (RFC 4648 section 4, padded); leave --base64 out for text");
  return Buffer.from(digits, hex ? "hex" : "base64");
}

async function readInput({ stdin }: Environment): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk as Uint8Array | string);
    chunks.push(bytes);
    length += bytes.length;
    if (length > MOST_INPUT_BYTES) throw usage("standard input has more than one message may: 1,808 bytes; split it");
  }
  return Buffer.concat(chunks);
}

const WIDTHS: readonly number[] = [8, 17, 9, 5, 19, 19];
const HEADING: string = row(["number", "device", "state", "bytes", "queued", "expires", "sent by"]);

function messageRow({ message, device, state, bytes, queuedAt, expiresAt, by, maybeTwice }: OutboundView): string {
  const twice = maybeTwice ? ", maybe twice" : "";
  return row([
    String(message),
    device,
    state,
    String(bytes),
    localTime(queuedAt),
    localTime(expiresAt),
    `${by}${twice}`,
  ]);
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0))
    .join("  ")
    .trimEnd();
}

const SEND_HELP = `
It is durable in the gateway's queue when this command ends, and delivered in order, at once or when the device is back.

Examples:
  $ usmp device send 7a:d3:e6:a9:9b:17 "valve open"
  $ usmp device send 7a:d3:e6:a9:9b:17 cafe01 --hex --ttl 1h --wait     ends when the device has it, or after an hour
  $ usmp device send 7a:d3:e6:a9:9b:17 - < settings.cbor`;

const QUEUE_HELP = `
Examples:
  $ usmp device queue                                     everything that waits
  $ usmp device queue 7a:d3:e6:a9:9b:17 --state expired   what never reached that device`;
