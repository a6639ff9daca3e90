import { Command } from "commander";
import type { Server } from "usmp";
import { formatAddress } from "usmp";
import { dataDirectory, ensureKeyFile } from "../first-key.ts";
import { acceptKey, readKeyFile } from "../key-source.ts";
import { addJsonOption, addListenOptions } from "../options.ts";
import { shellWord } from "../shell-word.ts";
import type { CommandContext } from "./context.ts";
import { type ServeOptions, serveWithKey } from "./serve.ts";

interface StartOptions extends ServeOptions {
  readonly data?: string;
  readonly showKey?: boolean;
}

/** What `npm start` runs: serve, with a key that the first run makes, and lines to paste for the first connection. */
export function startCommand({ environment, perform }: CommandContext): Command {
  const command = addListenOptions(new Command("start"))
    .description("serve with a key of its own, made on the first run, and show how to connect")
    .option("--data <dir>", "where the key file is (or set USMP_DATA)")
    .option("--show-key", "print the key")
    .option("--echo", "send each message back");
  return addJsonOption(command)
    .option("--quiet", "print errors only")
    .addHelpText("after", HELP)
    .action((options: StartOptions) =>
      perform(options, async (reporter) => {
        const file = await ensureKeyFile(dataDirectory(options.data, environment.variables));
        const written = await readKeyFile(file.path, "key file");
        const shown = options.showKey ? new TextDecoder().decode(written) : undefined;
        const { psk, event } = await acceptKey(written, { field: `key file ${file.path}`, source: file.path });
        await reporter.event({ ...event, admits: "any device id" });
        await reporter.event({
          event: "keyfile",
          path: file.path,
          created: file.created,
          ...(shown === undefined ? {} : { key: shown }),
        });
        return serveWithKey(psk, options, environment, reporter, async (server) => {
          if (options.json || options.quiet) return;
          await reporter.line(connectingHelp(server, file.path));
        });
      }),
    );
}

/** Lines to paste into a shell on this host. From elsewhere, the key file and this host's address take the place of theirs. */
export function connectingHelp({ addresses }: Pick<Server, "addresses">, keyFile: string): string {
  const [first] = addresses;
  if (first === undefined) return "";
  const host = first.host === "::" || first.host === "0.0.0.0" ? "127.0.0.1" : first.host;
  const target = formatAddress({ host, port: first.port });
  const udp = addresses.find(({ transport }) => transport === "udp");
  const overUdp = first.transport === "udp" ? " --udp" : "";
  const alsoUdp =
    udp === undefined || udp === first ? "" : `   # over UDP: ${formatAddress({ host, port: udp.port })} --udp`;
  return `
Connect from a terminal:

  npx usmp connect ${target}${overUdp} --psk-file ${shellWord(keyFile)}${alsoUdp}

Connect with the Python SDK (pip install usmp):

python3 - <<'END'
${pythonClient(host, first, keyFile)}
END
`;
}

function pythonClient(host: string, { port, transport }: Server["addresses"][number], keyFile: string): string {
  return `import asyncio
from usmp import USMPClient

async def main():
    key = bytes.fromhex(open(${JSON.stringify(keyFile)}).read().strip())
    client = USMPClient(host="${host}", port=${port}, psk=key, protocol="${transport}")
    await client.connect()
    await client.send(b"hello from Python")
    await client.disconnect()

asyncio.run(main())`;
}

const HELP = `
Examples:
  $ npm start                          the same, in a clone
  $ npm start -- --echo                and each message comes back
  $ npm start -- --show-key            print the key, to copy it to a device`;
