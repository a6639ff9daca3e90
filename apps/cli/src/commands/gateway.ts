import type { Gateway, GatewayOptions, GatewaySession, RefusalRecord } from "@usmp/gateway";
import { Command } from "commander";
import { formatAddress, ListenError, type Peer } from "usmp";
import type { Configuration } from "../configuration/configuration.ts";
import { addSettingOptions, givenFlags } from "../configuration/options.ts";
import { dataDirectory } from "../data-directory.ts";
import type { Environment, ExitCode, OutputStream } from "../environment.ts";
import { closedEvent, messageEvent, sessionEvent, workerEvent } from "../events.ts";
import { CommandError, usage } from "../failure.ts";
import { addJsonOption } from "../options.ts";
import { askPassphrase } from "../passphrase.ts";
import type { Reporter, ReportOptions } from "../reporter.ts";
import { shellWord } from "../shell-word.ts";
import { tellApi } from "../tell-api.ts";
import { estimateTextBits } from "../text-strength.ts";
import { packageVersion } from "../version.ts";
import type { CommandContext } from "./context.ts";
import { reportEvents } from "./gateway-events.ts";

interface GatewayCommandOptions extends ReportOptions {
  readonly data?: string;
  readonly config?: string;
  readonly printConfig?: boolean;
}

/** How often the log says that development mode is on. */
const DEV_REMINDER_MS = 600_000;

/** The gateway: what `npm start` runs. */
export function gatewayCommand({ environment, perform }: CommandContext): Command {
  const command = addSettingOptions(new Command("gateway"))
    .description("run a gateway: it knows its devices, and says why one was refused")
    .option(
      "--config <file>",
      "a YAML file with settings (or set USMP_CONFIG); else gateway.yaml in the data directory",
    )
    .option("--print-config", "print each setting and where it came from, and end");
  return addJsonOption(command)
    .option("--quiet", "print errors only")
    .addHelpText("after", HELP)
    .action((options: GatewayCommandOptions) =>
      perform(options, async (reporter) => {
        const configuration = await configured(options, givenFlags(command), environment.variables);
        return options.printConfig
          ? printConfiguration(configuration, options.json ?? false, reporter)
          : runReported(options, configuration, environment, reporter);
      }),
    );
}

/** Flags over environment over file. */
async function configured(
  { config, data }: GatewayCommandOptions,
  flags: ReadonlyMap<string, unknown>,
  variables: Environment["variables"],
): Promise<Configuration & { readonly data: { readonly value: string } }> {
  const [{ readConfigurationFile }, { configure }] = await Promise.all([
    import("../configuration/file.ts"),
    import("../configuration/configuration.ts"),
  ]);
  const directory = dataDirectory(data, variables);
  const variable = variables["USMP_CONFIG"] || undefined;
  const named =
    config !== undefined
      ? { path: config, by: "--config" }
      : variable !== undefined
        ? { path: variable, by: "USMP_CONFIG" }
        : undefined;
  const file = readConfigurationFile(named, directory);
  const configuration = configure({ flags, variables, file, currentDirectory: process.cwd() });
  return { ...configuration, data: { ...configuration.data, value: directory } };
}

async function printConfiguration(configuration: Configuration, json: boolean, reporter: Reporter): Promise<ExitCode> {
  const [{ settingEvents, settingLine }, { gatewayOptions }] = await Promise.all([
    import("../configuration/print.ts"),
    import("../configuration/gateway-options.ts"),
  ]);
  gatewayOptions(configuration, configuration.data.value ?? "");
  for (const event of settingEvents(configuration)) {
    if (json) await reporter.event(event);
    else await reporter.line(settingLine(event));
  }
  return 0;
}

/** With --log-format json everything goes into the log, what keeps the gateway from starting as well. */
async function runReported(
  options: GatewayCommandOptions,
  configuration: Configuration & { readonly data: { readonly value: string } },
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  if (configuration["log-format"].value === "pretty") return runGateway(options, configuration, environment, reporter);
  if (options.json)
    throw usage(`${configuration["log-format"].place}: not together with --json, which has a form of its own`);
  const { LogReporter } = await import("../log-reporter.ts");
  const log = new LogReporter(environment, configuration["log-level"].value);
  return log.perform(() => runGateway({ ...options, quiet: true }, configuration, environment, log));
}

async function runGateway(
  options: GatewayCommandOptions,
  configuration: Configuration & { readonly data: { readonly value: string } },
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const directory = configuration.data.value;
  const dev = configuration.dev.value;
  const [{ deviceAddresses }, { gatewayOptions }] = await Promise.all([
    import("@usmp/gateway"),
    import("../configuration/gateway-options.ts"),
  ]);
  const gateway = await open({
    ...gatewayOptions(configuration, directory),
    surroundings: {
      // The real environment's: the variable that held a master is deleted from it.
      variables: environment.variables as Record<string, string | undefined>,
      askPassphrase: (what, confirm) => askPassphrase(environment, what, confirm),
    },
    estimateTextBits,
    version: packageVersion(),
    onWorker: (event) => void reporter.event(workerEvent(event)),
  });
  try {
    const attended = watch(gateway, configuration.echo.value, environment.stdout, reporter);
    const { registry, server, created } = gateway;
    const devices = registry.deviceCount;
    await reporter.event({ event: "gateway", data: directory, devices, created, dev });
    for (const address of server.addresses) await reporter.event({ event: "listening", ...address });
    await tellApi(gateway, directory, options, { environment, reporter });
    for (const address of server.addresses.flatMap((bound) => deviceAddresses(bound))) {
      await reporter.event({ event: "address", ...address });
    }
    if (created && gateway.masterExposure !== undefined) {
      const { problem, better } = gateway.masterExposure;
      await reporter.event({ event: "notice", topic: "master", message: `${problem}; ${better}` });
    }
    const reminder = dev ? await remindOfDevelopment(reporter) : undefined;
    if (devices === 0 && !options.json && !options.quiet)
      await reporter.line(firstDevice(options.data, server.addresses));
    await aborted(environment.signal);
    clearInterval(reminder);
    await gateway.close();
    await Promise.all(attended);
    return 0;
  } finally {
    await gateway.close();
  }
}

async function open(options: GatewayOptions): Promise<Gateway> {
  const { openGateway, portOwner } = await import("@usmp/gateway");
  try {
    return await openGateway(options);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    // The message names it: "cannot listen on TCP port 9000: …".
    const [, name, digits] = /\b(TCP|UDP) port (\d+)/.exec(error.message) ?? [];
    const transport = name === "UDP" ? "udp" : "tcp";
    const taken = digits !== undefined && error.message.includes("EADDRINUSE");
    const owner = taken ? portOwner(transport, Number(digits)) : undefined;
    const held = owner === undefined ? "" : `; ${owner} has it`;
    throw new CommandError(error.code, `${error.message}${held}; --${transport} HOST:PORT chooses another`, 1);
  }
}

/** Prints what happens. The sessions that are attended are added to what it answers, and leave it at their end. */
function watch(gateway: Gateway, echo: boolean, output: OutputStream, reporter: Reporter): ReadonlySet<Promise<void>> {
  const attended = new Set<Promise<void>>();
  gateway.onSession((session) => {
    const work = attend(session, gateway.registry.device(session.session.deviceId)?.name, echo, reporter);
    attended.add(work);
    void work.finally(() => attended.delete(work));
  });
  reportEvents(gateway, output, reporter);
  const refusals = new RefusalLog(output, reporter);
  gateway.onRefused((record) => refusals.add(record));
  return attended;
}

/** Each line is written before the next message is taken, so a reader of ours that stalls holds the device back. */
async function attend(
  { session, generation }: GatewaySession,
  name: string | undefined,
  echo: boolean,
  reporter: Reporter,
): Promise<void> {
  await reporter.event({ ...sessionEvent(session), generation, ...(name === undefined ? {} : { name }) });
  for await (const message of session) {
    await reporter.event(messageEvent(session, message));
    // What cannot be sent back any more is told by the reason of the end, which follows.
    if (echo) await session.send(message).catch(() => undefined);
  }
  await reporter.event(closedEvent(session, await session.closed));
}

/** Prints refused attempts: of those alike in a minute the 1st, 10th, 100th; and none while nobody takes our output. */
class RefusalLog {
  readonly #output: OutputStream;
  readonly #reporter: Reporter;
  #omitted = 0;

  constructor(output: OutputStream, reporter: Reporter) {
    this.#output = output;
    this.#reporter = reporter;
  }

  add(record: RefusalRecord): void {
    if (!Number.isInteger(Math.log10(record.count))) return;
    if (this.#output.writableNeedDrain) {
      this.#omitted++;
      return;
    }
    void this.#print(record, this.#omitted);
    this.#omitted = 0;
  }

  async #print(record: RefusalRecord, omitted: number): Promise<void> {
    const { explain } = await import("@usmp/gateway");
    const { says, fix } = explain(record);
    const times = record.count === 1 ? "" : ` (${record.count} times)`;
    await this.#reporter.event({
      event: "refused",
      peer: record.peer,
      transport: record.transport,
      device: record.claimedId ?? null,
      cause: record.cause.cause,
      description: `${says}${times}; ${fix[0] ?? "usmp why says more"}`,
      ...(omitted === 0 ? {} : { omitted }),
    });
  }
}

async function remindOfDevelopment(reporter: Reporter): Promise<NodeJS.Timeout> {
  const remind = (): Promise<void> =>
    reporter.event({
      event: "notice",
      topic: "dev",
      message: "development mode is on: a device may hold the published key that everyone has",
    });
  await remind();
  const timer = setInterval(() => void remind(), DEV_REMINDER_MS);
  timer.unref();
  return timer;
}

/** Lines to paste: an id for the first device, and it connects from here. */
function firstDevice(data: string | undefined, addresses: readonly Peer[]): string {
  const where = data === undefined ? "" : ` --data ${shellWord(data)}`;
  const id = "02:00:00:00:00:01";
  const enrol = `
No device is enrolled yet. In another terminal:

  npx usmp device add ${id} --name "my first device" --save-key first-device.key${where}

writes its key to a file of mode 0600 (without --save-key it is shown, once). "npx usmp why${where}" says why a device was refused.`;
  const [first] = addresses;
  if (first === undefined) return `${enrol}\n`;
  const { transport, port } = first;
  const host = ["::", "0.0.0.0"].includes(first.host) ? "127.0.0.1" : first.host;
  const udp = transport === "udp" ? " --udp" : "";
  return `${enrol}
Then this host can play the device. With our own terminal:

  npx usmp connect ${formatAddress({ host, port })}${udp} --device-id ${id} --psk-file first-device.key

With the Python SDK (pip install usmp):

python3 - <<'END'
import asyncio
from usmp import USMPClient

async def main():
    key = bytes.fromhex(open("first-device.key").read().strip())
    client = USMPClient("${host}", ${port}, key, bytes.fromhex("${id.replaceAll(":", "")}"), "${transport}")
    await client.connect()
    await client.send(b"hello from Python")
    await client.disconnect()

asyncio.run(main())
END
`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
}

const HELP = `
Without --tcp and --udp: both, port 9000, all interfaces. Each --setting is USMP_SETTING in the environment and "setting:" in the file;
docs/configuration.md tells more. A change is taken at the next start.

Examples:
  $ usmp gateway                                    devices on TCP and UDP port 9000
  $ npm start                                       the same, in a clone
  $ usmp gateway --data /srv/usmp --tcp :9001 --udp :9001
  $ usmp gateway --master-sealed /srv/usmp/master   the master secret sealed with a passphrase
  $ usmp gateway --config /etc/usmp/gateway.yaml --print-config
  $ usmp gateway --json | jq -r 'select(.event == "message").text'

In another terminal: usmp device add, usmp device list, usmp why`;
