import { Command } from "commander";
import { ListenError, type ListenOptions, listen, type Refusal, type Secret, type Server, type Session } from "usmp";
import type { Environment, ExitCode, OutputStream } from "../environment.ts";
import { closedEvent, messageEvent, movedEvent, refusedEvent, sessionEvent, workerEvent } from "../events.ts";
import { CommandError } from "../failure.ts";
import { type KeyOptions, loadKey } from "../key-source.ts";
import {
  addJsonOption,
  addKeyOptions,
  addListenOptions,
  addWorkersOption,
  type ListenSelection,
  listenAddresses,
} from "../options.ts";
import type { Reporter } from "../reporter.ts";
import { UnderWay } from "../under-way.ts";
import type { CommandContext } from "./context.ts";

interface ServeOptions extends ListenSelection {
  readonly echo?: boolean;
  readonly workers?: number;
}

export function serveCommand({ environment, perform }: CommandContext): Command {
  const command = addWorkersOption(
    addKeyOptions(addListenOptions(new Command("serve")))
      .description("listen for devices and print their sessions and messages")
      .option("--echo", "send each message back"),
  );
  return addJsonOption(command)
    .option("--quiet", "print errors only")
    .addHelpText("after", HELP)
    .action((options: ServeOptions & KeyOptions) =>
      perform(options, async (reporter) => {
        const { psk, event } = await loadKey(options, environment);
        await reporter.event({ ...event, admits: "any device id" });
        return serveWithKey(psk, options, environment, reporter);
      }),
    );
}

/** Serves until the program is asked to end; then every session gets its BYE. Wipes `psk`. */
async function serveWithKey(
  psk: Secret,
  options: ServeOptions & { readonly dev?: boolean },
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const attended = new Set<Promise<void>>();
  const refusals = new RefusalLog(environment.stdout, reporter);
  const { echo = false, workers } = options;
  try {
    await using server = await open({
      ...listenAddresses(options),
      psk,
      development: options.dev,
      onSession: (session) => {
        const work = attend(session, echo && workers === undefined, reporter);
        attended.add(work);
        void work.finally(() => attended.delete(work));
      },
      // Not awaited, so not while the reader of our output stalls: a peer that moves for ever must not fill memory.
      onMoved: (session, move) => {
        if (!environment.stdout.writableNeedDrain) void reporter.event(movedEvent(session, move));
      },
      onRefused: (refusal) => refusals.add(refusal),
      ...(workers === undefined ? {} : inWorkers(workers, echo, options.quiet ?? false, reporter)),
    });
    for (const address of server.addresses) await reporter.event({ event: "listening", ...address });
    await aborted(environment.signal);
    await server.close();
    await Promise.all(attended);
    return 0;
  } finally {
    psk.wipe();
  }
}

/** The echo runs beside the sessions; what is to be printed comes here. */
function inWorkers(
  workers: number,
  echo: boolean,
  quiet: boolean,
  reporter: Reporter,
): Pick<ListenOptions, "workers" | "application" | "onWorker"> {
  // From sources, that is in tests, it is the one that was built: Node 20 runs no TypeScript.
  const built = import.meta.url.endsWith(".ts") ? "../../dist/worker-echo.js" : "../worker-echo.js";
  const module = new URL(built, import.meta.url);
  return {
    workers,
    ...(echo ? { application: { module, data: { relays: !quiet } } } : {}),
    onWorker: (event) => void reporter.event(workerEvent(event)),
  };
}

async function open(options: ListenOptions): Promise<Server> {
  try {
    return await listen(options);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    const flags = [options.tcp && "--tcp HOST:PORT", options.udp && "--udp HOST:PORT"].filter(Boolean);
    throw new CommandError(
      error.code,
      `${error.message}; ${flags.join(" and ")} ${flags.length > 1 ? "choose" : "chooses"} where`,
      1,
    );
  }
}

/**
 * Prints refused attempts. Unlike devices, strangers cannot be held back: while the reader of our output stalls, theirs are only
 * counted, and the next one that is printed carries the number.
 */
class RefusalLog {
  readonly #output: OutputStream;
  readonly #reporter: Reporter;
  #omitted = 0;

  constructor(output: OutputStream, reporter: Reporter) {
    this.#output = output;
    this.#reporter = reporter;
  }

  add(refusal: Refusal): void {
    if (this.#output.writableNeedDrain) {
      this.#omitted++;
      return;
    }
    void this.#reporter.event(refusedEvent(refusal, this.#omitted));
    this.#omitted = 0;
  }
}

/** Each line is written before the next message is taken, so a reader of ours that stalls holds the device back. */
async function attend(session: Session, echo: boolean, reporter: Reporter): Promise<void> {
  const echoes = new UnderWay();
  await reporter.event(sessionEvent(session));
  for await (const message of session) {
    await reporter.event(messageEvent(session, message));
    // What cannot be sent back any more is told by the reason of the end, which follows.
    if (echo) await echoes.add(session.send(message).catch(() => undefined));
  }
  await reporter.event(closedEvent(session, await session.closed));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

const HELP = `
A key is 64 hex digits or hex:… (bytes), or text (text:… forces it). It admits any device id.
Without --tcp and --udp: both, port 9000, all interfaces.

Examples:
  $ usmp keygen > key.txt && usmp serve --psk-file key.txt
  $ usmp serve --psk-file key.txt --tcp 127.0.0.1:9000        TCP alone, this host alone
  $ usmp serve --psk-file key.txt --echo                      a peer to try a device against
  $ usmp serve --psk-file key.txt --json | jq -r 'select(.event == "message").text'
  $ usmp serve --psk-file key.txt --workers 4                 four processes behind one port
  $ pass show usmp | usmp serve --psk -                       the key from a password store`;
