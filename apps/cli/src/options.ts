import { nodeCrypto } from "@usmp/crypto";
import { type Command, Option } from "commander";
import { parseConnectAddress, parseDeviceId, parseListenAddress, type TransportName } from "usmp";
import { usage } from "./failure.ts";
import type { KeyOptions } from "./key-source.ts";
import type { ReportOptions } from "./reporter.ts";

/** The one grammar that all commands share. */

export interface TargetOptions extends KeyOptions, ReportOptions {
  readonly tcp?: boolean;
  readonly udp?: boolean;
  readonly deviceId?: string;
  /** Seconds. */
  readonly timeout: number;
}

export interface ListenSelection extends ReportOptions {
  readonly tcp?: { readonly host: string | undefined; readonly port: number };
  readonly udp?: { readonly host: string | undefined; readonly port: number };
}

export function addKeyOptions(command: Command): Command {
  return command
    .addOption(new Option("--psk <key>", "the pre-shared key; - reads it from standard input").conflicts("pskFile"))
    .addOption(new Option("--psk-file <file>", "a file that holds the key (or set USMP_PSK_FILE)"))
    .addOption(new Option("--dev", "let the published development key in, for a bench"))
    .addOption(new Option("--allow-weak", "let a short or guessable key in"));
}

export function addTargetOptions(command: Command): Command {
  command
    .addOption(new Option("--tcp", "connect over TCP (the default)").conflicts("udp"))
    .addOption(new Option("--udp", "connect over UDP"));
  return addKeyOptions(command)
    .addOption(new Option("--device-id <id>", "six bytes as aa:bb:cc:dd:ee:ff; random when not given"))
    .addOption(
      new Option("--timeout <seconds>", "how long to wait for an answer").argParser(seconds("--timeout")).default(10),
    );
}

export function addListenOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--tcp <host:port>", "listen on TCP here; without --udp, on TCP alone").argParser(
        listenAddress("--tcp"),
      ),
    )
    .addOption(
      new Option("--udp <host:port>", "listen on UDP here; without --tcp, on UDP alone").argParser(
        listenAddress("--udp"),
      ),
    );
}

/** How many processes share the port; see docs/workers.md. */
export function addWorkersOption(command: Command): Command {
  return command.addOption(
    new Option("--workers <number>", "share the port and the work among so many processes, 1 to 64").argParser(
      (text): number => {
        const number = Number(text);
        if (/^\d+$/.test(text) && number >= 1 && number <= MAX_WORKERS) return number;
        throw usage(
          `--workers: ${text} is not a whole number from 1 to ${MAX_WORKERS}; one for each core is a good start`,
        );
      },
    ),
  );
}

/** As listen() has it. */
const MAX_WORKERS = 64;
const DEFAULT_PORT = 9000;

/** Where to listen: as selected, else on both transports. */
export function listenAddresses({ tcp, udp }: ListenSelection): Pick<ListenSelection, "tcp" | "udp"> {
  return tcp === undefined && udp === undefined
    ? { tcp: { host: undefined, port: DEFAULT_PORT }, udp: { host: undefined, port: DEFAULT_PORT } }
    : { ...(tcp === undefined ? {} : { tcp }), ...(udp === undefined ? {} : { udp }) };
}

export function addJsonOption(command: Command): Command {
  return command.addOption(new Option("--json", "print one JSON object a line"));
}

/** Where to connect and as whom. */
export interface Target {
  readonly transport: TransportName;
  readonly host: string;
  readonly port: number;
  readonly deviceId: Uint8Array;
  readonly randomDevice: boolean;
}

export function readTarget(address: string, { udp, deviceId }: TargetOptions): Target {
  return {
    transport: udp ? "udp" : "tcp",
    ...parseConnectAddress(address, "HOST:PORT"),
    deviceId: deviceId === undefined ? randomDeviceId() : parseDeviceId(deviceId, "--device-id"),
    randomDevice: deviceId === undefined,
  };
}

/** Random, with the bits of a locally administered unicast MAC address (IEEE 802): it is no maker's device. */
function randomDeviceId(): Uint8Array {
  const deviceId = new Uint8Array(6);
  nodeCrypto.randomFill(deviceId);
  deviceId[0] = ((deviceId[0] as number) & 0xfe) | 0x02;
  return deviceId;
}

/** A whole number of at least `minimum`, from an option or argument called `field`. */
export function wholeNumber(field: string, minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= minimum) return value;
    throw usage(
      `${field} ${JSON.stringify(text)}: not a whole number of at least ${minimum}; write ${field} ${Math.max(minimum, 1)}`,
    );
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time such as 30m, 12h or 7d, in milliseconds. */
export function duration(field: string): (text: string) => number {
  return (text) => {
    const [, digits, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    if (digits !== undefined && unit !== undefined) return Number(digits) * (UNIT_MS[unit] as number);
    throw usage(`${field} ${JSON.stringify(text)}: not a time; write ${field} 30m, 12h or 7d`);
  };
}

function seconds(field: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,6}(\.\d{1,3})?$/.test(text) && value > 0) return value;
    throw usage(`${field} ${JSON.stringify(text)}: not a positive number of seconds; write ${field} 10`);
  };
}

function listenAddress(field: string): (text: string) => ReturnType<typeof parseListenAddress> {
  return (text) => parseListenAddress(text, field);
}
