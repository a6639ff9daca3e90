import { Secret } from "usmp";
import type { Environment } from "./environment.ts";
import { usage } from "./failure.ts";
import { readHiddenLine } from "./hidden-line.ts";
import { readKeyFile } from "./key-source.ts";

/** A file that holds a passphrase, for starts without a terminal. */
const FILE_VARIABLE = "USMP_PASSPHRASE_FILE";

/** Asks for a passphrase on the terminal, or reads it from the file that USMP_PASSPHRASE_FILE names. The caller's to wipe. */
export async function askPassphrase(environment: Environment, what: string, confirm: boolean): Promise<Secret> {
  const file = environment.variables[FILE_VARIABLE];
  if (file !== undefined && file !== "") return adopt(await readKeyFile(file, FILE_VARIABLE));
  if (!environment.stdin.isTTY) {
    throw usage(
      `${what.replace(/: $/, "")}: there is no terminal to ask on; name a file that holds it in ${FILE_VARIABLE}`,
    );
  }
  const first = await hidden(environment, what);
  if (!confirm) return first;
  using second = await hidden(environment, "Once more: ");
  if (Buffer.compare(first.expose(), second.expose()) === 0) return first;
  first.wipe();
  throw usage("the two passphrases differ; start again");
}

async function hidden(environment: Environment, prompt: string): Promise<Secret> {
  const line = await readHiddenLine(environment, prompt);
  if (line === undefined) throw usage("no passphrase was typed");
  return adopt(line);
}

function adopt(bytes: Uint8Array): Secret {
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}
