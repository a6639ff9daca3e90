import { nodeCrypto } from "@usmp/crypto";
import { Command } from "commander";
import { addJsonOption, wholeNumber } from "../options.ts";
import { jsonLine, toHex } from "../printable.ts";
import type { CommandContext } from "./context.ts";

const KEY_LENGTH = 32;

export function keygenCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("keygen")
    .description("print a new pre-shared key: 256 random bits as 64 hex digits")
    .option("--count <n>", "how many keys, one a line", wholeNumber("--count", 1), 1);
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((options: { count: number; json?: boolean }) =>
      perform(options, async (reporter) => {
        for (let made = 0; made < options.count && !environment.signal.aborted; made++) {
          const key = generateKey();
          const line = options.json ? jsonLine({ time: environment.now().toISOString(), event: "keygen", key }) : key;
          await reporter.line(line);
        }
        return 0;
      }),
    );
}

/**
 * 64 hex digits of 32 random bytes, none of them zero: firmware that keeps a key as a C string would cut it there and hold another,
 * shorter key. Leaving one value of 256 out costs 0.2 of 256 bits.
 */
export function generateKey(randomFill = (out: Uint8Array): void => nodeCrypto.randomFill(out)): string {
  const key = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  randomFill(key);
  for (let index = key.indexOf(0); index !== -1; index = key.indexOf(0)) randomFill(key.subarray(index, index + 1));
  const digits = toHex(key);
  key.fill(0);
  return digits;
}

const HELP = `
Examples:
  $ usmp keygen                        one key
  $ (umask 077; usmp keygen > key.txt) a key file that only you can read
  $ usmp keygen --count 20             a key for each of 20 devices

Give every device a key of its own: whoever opens one device then has that one only.`;
