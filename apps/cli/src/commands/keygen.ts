import { nodeCrypto } from "@usmp/crypto";
import { Command } from "commander";
import type { Environment } from "../environment.ts";
import { addJsonOption, wholeNumber } from "../options.ts";
import { jsonLine, toHex } from "../printable.ts";
import type { CommandContext } from "./context.ts";

const KEY_LENGTH = 32;

export function keygenCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("keygen")
    .description("print a new pre-shared key: 256 random bits as 64 hex digits; on a terminal, in both forms")
    .option("--count <n>", "how many keys, one a line", wholeNumber("--count", 1), 1);
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((options: { count: number; json?: boolean }) =>
      perform(options, async (reporter) => {
        for (let made = 0; made < options.count && !environment.signal.aborted; made++) {
          for (const line of keyLines(generateKey(), options.json ?? false, environment)) await reporter.line(line);
        }
        return 0;
      }),
    );
}

/**
 * In a file or a pipe a key is its 64 digits and nothing else. A person at a terminal sees both forms by name: pasted as a string, the
 * digits are another key than the bytes that they spell, and devices differ in which they take.
 */
function keyLines(key: string, json: boolean, { stdout, now }: Environment): readonly string[] {
  const raw = `hex:${key}`;
  const text = `text:${key}`;
  if (json) return [jsonLine({ time: now().toISOString(), event: "keygen", key, raw, text })];
  if (stdout.isTTY !== true) return [key];
  return [
    key,
    `  RAW form, 32 bytes       ${raw}   what usmp makes of the digits above`,
    `  TEXT form, 64 characters ${text}   another key: for devices that use the digits as a string`,
  ];
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
The digits are used in two forms, and they are two keys: RAW, the 32 bytes that they spell (what usmp uses; write hex: to say so), and
TEXT, the 64 characters themselves (write text: before them). A device that holds the other form is refused. In a pipe or a file there
are the 64 digits alone.

Examples:
  $ usmp keygen                        one key
  $ (umask 077; usmp keygen > key.txt) a key file that only you can read
  $ usmp keygen --count 20             a key for each of 20 devices

Give every device a key of its own: whoever opens one device then has that one only.`;
