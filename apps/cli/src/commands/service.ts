import { existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { dataDirectory } from "../data-directory.ts";
import type { Environment, ExitCode } from "../environment.ts";
import { CommandError, usage } from "../failure.ts";
import { addJsonOption } from "../options.ts";
import type { Reporter, ReportOptions } from "../reporter.ts";
import { whyUnreadable } from "../service/readable.ts";
import type { ServiceEvent } from "../service/service-events.ts";
import { type Scope, Systemctl, type UnitState } from "../service/systemctl.ts";
import { SYSTEM_DATA, UNIT_NAME, unitText } from "../service/systemd-unit.ts";
import type { CommandContext } from "./context.ts";

interface ServiceOptions extends ReportOptions {
  readonly user?: boolean;
}

interface InstallOptions extends ServiceOptions {
  readonly config?: string;
  readonly masterCredential?: string;
  readonly lowPorts?: boolean;
  readonly dryRun?: boolean;
}

/** How long a start may take until the control socket answers, and how often it is asked. */
const START_LIMIT_MS = 15_000;
const ASK_MS = 200;

export function serviceCommand({ environment, perform }: CommandContext): Command {
  const add = (name: string, description: string): Command =>
    addJsonOption(
      new Command(name).description(description).option("--user", "a service of this user, not of the system"),
    );
  const install = add("install", "run the gateway at each boot, as a hardened service of systemd")
    .option("--config <file>", "the gateway's configuration file")
    .option("--master-credential <file>", "the master secret is in this file, which only root can read")
    .option("--low-ports", "let it listen on ports below 1024")
    .option("--dry-run", "print the unit, and change nothing")
    .addHelpText("after", INSTALL_HELP)
    .action((options: InstallOptions) =>
      perform(options, (reporter) => installService(options, environment, reporter)),
    );
  const status = add("status", "say whether the service runs").action((options: ServiceOptions) =>
    perform(options, async (reporter) => {
      const event = await describeService(placeOf(options, environment));
      await reporter.event(event);
      return event.state === "active" && event.version !== null ? 0 : 1;
    }),
  );
  const uninstall = add("uninstall", "stop the service and take it away; its data stays").action(
    (options: ServiceOptions) => perform(options, (reporter) => uninstallService(options, environment, reporter)),
  );
  status.addHelpText("after", STATUS_HELP);
  uninstall.addHelpText("after", UNINSTALL_HELP);
  const group = new Command("service")
    .description("run the gateway as a service of systemd")
    .helpCommand(false)
    .addHelpText("after", INSTALL_HELP);
  for (const command of [install, status, uninstall]) group.addCommand(command);
  return group;
}

async function installService(
  options: InstallOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const place = placeOf(options, environment);
  if (place.scope === "user" && options.masterCredential !== undefined)
    throw usage(
      '--master-credential: only the system has files that a user cannot read; take away one of it and "--user"',
    );
  if (place.scope === "user" && options.lowPorts)
    throw usage('--low-ports: a user\'s service cannot; take away one of it and "--user"');
  const program = realpathSync(fileURLToPath(new URL("../../bin/usmp.mjs", import.meta.url)));
  const node = realpathSync(process.execPath);
  const config = given(options.config, "--config");
  const masterCredential = given(options.masterCredential, "--master-credential");
  const { scope, data, path } = place;
  const text = unitText({ scope, node, program, data, config, masterCredential, lowPorts: options.lowPorts ?? false });
  if (options.dryRun) {
    if (options.json) await reporter.event({ event: "unit", path, text });
    else await reporter.line(text.trimEnd());
    return 0;
  }
  for (const file of scope === "system" ? [node, program, ...(config === undefined ? [] : [config])] : []) {
    const why = whyUnreadable(file);
    if (why !== undefined)
      throw new CommandError(
        "system",
        `${file}: ${why}; the service has a user of its own: put it where all may read, such as /opt or /etc`,
        1,
      );
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o644 });
  await place.systemctl.start();
  const event = await untilItAnswers(place, environment);
  await reporter.event(event);
  if (event.state === "active" && event.version !== null) return 0;
  const journal = `journalctl ${scope === "user" ? "--user " : ""}-u ${UNIT_NAME} -n 30`;
  throw new CommandError(
    "system",
    `the service is installed, but the gateway does not answer; "${journal}" says why`,
    1,
  );
}

async function uninstallService(
  options: ServiceOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const place = placeOf(options, environment);
  if (!existsSync(place.path))
    throw new CommandError(
      "system",
      `${place.path}: is not there; ${place.scope === "system" ? "with --user, a user's service is looked for" : "without --user, the system's is looked for"}`,
      1,
    );
  await place.systemctl.stop();
  rmSync(place.path);
  await place.systemctl.forget();
  await reporter.event(await describeService(place));
  return 0;
}

/** Where a service is kept. */
interface Place {
  readonly scope: Scope;
  /** Of the unit. */
  readonly path: string;
  readonly data: string;
  readonly systemctl: Systemctl;
}

function placeOf({ user }: ServiceOptions, { variables }: Environment): Place {
  if (process.platform !== "linux") {
    const fix = 'let what starts services here run "usmp gateway --data DIR" (docs/operate.md)';
    throw new CommandError(
      "system",
      `services are installed for systemd alone, which ${process.platform} has not; ${fix}`,
      1,
    );
  }
  const scope = user ? "user" : "system";
  const base = variables["XDG_CONFIG_HOME"];
  const home = base?.startsWith("/") ? base : join(variables["HOME"] ?? homedir(), ".config");
  return {
    scope,
    path: user ? join(home, "systemd", "user", UNIT_NAME) : join("/etc/systemd/system", UNIT_NAME),
    data: user ? dataDirectory(undefined, variables) : SYSTEM_DATA,
    systemctl: new Systemctl(scope, variables),
  };
}

async function untilItAnswers(place: Place, environment: Environment): Promise<ServiceEvent> {
  const end = performance.now() + START_LIMIT_MS;
  for (;;) {
    const event = await describeService(place);
    const settled = event.version !== null || event.state === "failed";
    if (settled || performance.now() > end || environment.signal.aborted) return event;
    await new Promise((done) => setTimeout(done, ASK_MS));
  }
}

async function describeService({ systemctl, data }: Place): Promise<ServiceEvent> {
  const unit: UnitState | undefined = await systemctl.state();
  const { findRunning } = await import("@usmp/gateway");
  // One that cannot be asked from here (another user's) is told by systemd alone.
  const gateway = unit === undefined ? undefined : await findRunning(data).catch(() => undefined);
  return {
    event: "service",
    unit: UNIT_NAME,
    state: unit?.active ?? "not-installed",
    enabled: unit?.enabled === "enabled",
    pid: unit?.pid ?? null,
    restarts: unit?.restarts ?? 0,
    data,
    version: gateway?.version ?? null,
  };
}

function given(file: string | undefined, field: string): string | undefined {
  if (file === undefined) return undefined;
  const path = resolve(file);
  if (existsSync(path)) return path;
  throw usage(`${field} ${JSON.stringify(path)}: is not there; make it first`);
}

const INSTALL_HELP = `
The system's service runs as a user of its own with its data in ${SYSTEM_DATA}; commands find it with --data ${SYSTEM_DATA}, as root.

Examples:
  $ usmp service install --dry-run > usmp-gateway.service; systemd-analyze verify ./usmp-gateway.service
  $ sudo usmp service install --config /etc/usmp/gateway.yaml
  $ sudo usmp service install --master-credential /etc/usmp/master
  $ usmp service install --user                     then: loginctl enable-linger`;

const STATUS_HELP = `
Examples:
  $ sudo usmp service status
  $ usmp service status --user --json`;

const UNINSTALL_HELP = `
Examples:
  $ sudo usmp service uninstall
  $ usmp service uninstall --user`;
