import { createReadStream } from "node:fs";
import { checkKeyStrength, looksLikeHex, type ParsedKey, parseKey, type Secret } from "usmp";
import type { Environment } from "./environment.ts";
import type { KeyEvent } from "./events.ts";
import { usage } from "./failure.ts";
import { readHiddenLine } from "./hidden-line.ts";
import { toHex } from "./printable.ts";
import { estimateTextBits } from "./text-strength.ts";

export interface KeyOptions {
  readonly psk?: string;
  readonly pskFile?: string;
  readonly dev?: boolean;
  readonly allowWeak?: boolean;
}

/** A key that passed the policy, and what may be said of it. */
export interface LoadedKey {
  /** The caller's to wipe. */
  readonly psk: Secret;
  readonly event: KeyEvent;
}

/** Finds the key that the options name, and holds it to the policy. Throws with exit code 2 for a key that may not be used. */
export async function loadKey(options: KeyOptions, environment: Environment): Promise<LoadedKey> {
  const { bytes, ...origin } = await readKey(options, environment);
  return acceptKey(bytes, { ...options, ...origin });
}

/** A key for looking at recordings: any that the grammar has, whatever its strength; undefined when none was named. */
export async function loadAnyKey(
  options: Pick<KeyOptions, "psk" | "pskFile">,
  environment: Environment,
): Promise<Secret | undefined> {
  if (options.psk === undefined && options.pskFile === undefined) return undefined;
  const { bytes, field } = await readKey(options, environment);
  return parseWiping(bytes, field).key;
}

/** A key as written, wiped here, to one that passed the policy. */
async function acceptKey(
  written: Uint8Array,
  { field, source, warning, dev, allowWeak }: KeyOptions & Omit<WrittenKey, "bytes">,
): Promise<LoadedKey> {
  const parsed = parseWiping(written, field);
  let weak: boolean;
  try {
    await checkKeyStrength(parsed, { development: dev, allowWeak, estimateTextBits }, field);
    weak = allowWeak === true && (await isWeak(parsed, dev));
  } catch (error) {
    parsed.key.wipe();
    throw error;
  }
  const notes = [
    looksLikeHex(parsed) ? "all of it is hex digits: write hex:… if bytes are meant" : undefined,
    weak ? WEAK_NOTE : undefined,
    dev ? DEVELOPMENT_NOTE : undefined,
    warning,
  ];
  const note = notes.filter((text) => text !== undefined).join("; ");
  const event: KeyEvent = {
    event: "key",
    form: parsed.form,
    bytes: parsed.key.length,
    source,
    ...(note === "" ? {} : { note }),
  };
  return { psk: parsed.key, event };
}

const WEAK_NOTE = "a weak key, let in by --allow-weak: whoever hears one HELLO_ACK can search such keys offline";
const DEVELOPMENT_NOTE = "DEVELOPMENT MODE (--dev): published keys are let in, never use it for production";

/** Whether this key is one that only --allow-weak let in. */
async function isWeak(parsed: ParsedKey, development: boolean | undefined): Promise<boolean> {
  return checkKeyStrength(parsed, { development, estimateTextBits }).then(
    () => false,
    () => true,
  );
}

interface WrittenKey {
  readonly bytes: Uint8Array;
  /** How errors name it. */
  readonly field: string;
  readonly source: string;
  readonly warning?: string | undefined;
}

/** Longer than any key that is meant: a disk image or /dev/zero given by mistake must not fill the memory. */
const LONGEST_FILE = 65_536;

/** This program clears its own arguments; npx and the shell that it starts stay in the process list as long as it does. */
const NPX_WARNING = "npx keeps this key in the process list: prefer --psk-file or --psk -";

async function readKey({ psk, pskFile }: KeyOptions, environment: Environment): Promise<WrittenKey> {
  if (psk === "-") return { bytes: await readStandardInput(environment), field: "--psk -", source: "standard input" };
  if (psk !== undefined) {
    const warning = environment.variables["npm_command"] === "exec" ? NPX_WARNING : undefined;
    return { bytes: Buffer.from(psk), field: "--psk", source: "--psk", warning };
  }
  if (pskFile !== undefined)
    return { bytes: await readKeyFile(pskFile, "--psk-file"), field: "--psk-file", source: `--psk-file ${pskFile}` };
  const named = environment.variables["USMP_PSK_FILE"];
  if (named !== undefined && named !== "") {
    return {
      bytes: await readKeyFile(named, "USMP_PSK_FILE"),
      field: "USMP_PSK_FILE",
      source: `USMP_PSK_FILE ${named}`,
    };
  }
  throw usage(
    'no key was given; make one with "usmp keygen > key.txt" and pass --psk-file key.txt (or --psk KEY, --psk -, USMP_PSK_FILE)',
  );
}

/** The bytes of a key file in hex digits, for a gateway that judges and keeps the key. */
export async function readFileKey(path: string, field: string): Promise<string> {
  const { key } = parseWiping(await readKeyFile(path, field), `${field} ${path}`);
  try {
    return toHex(key.expose());
  } finally {
    key.wipe();
  }
}

/** A key file holds the grammar of --psk; one newline at its end is ignored, so that echo and editors do no harm. */
export async function readKeyFile(path: string, field: string): Promise<Uint8Array> {
  try {
    const content = await readStart(path, LONGEST_FILE + 1);
    if (content.length > LONGEST_FILE)
      throw usage(`${field} ${path}: it is too long for a key; name the file that holds the key`);
    return withoutNewline(content);
  } catch (error) {
    const problem = FILE_PROBLEMS[(error as NodeJS.ErrnoException).code ?? ""];
    if (problem === undefined) throw error;
    throw usage(`${field} ${path}: ${problem}`);
  }
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; make it with "usmp keygen > FILE"',
  EACCES: "it may not be read; give this user the right to, and nobody else (chmod 600)",
  EISDIR: "it is a directory; name the file that holds the key",
  ENOTDIR: "a part of the path is no directory; check it",
};

/** The first line, so that a pipe can go on with messages behind the key. From a terminal nothing of it is shown. */
async function readStandardInput(environment: Environment): Promise<Uint8Array> {
  const line = environment.stdin.isTTY
    ? await readHiddenLine(environment, "key (not shown): ")
    : await environment.lines.next();
  if (line === undefined) throw usage("--psk -: standard input is empty; send the key as its first line");
  return line;
}

async function readStart(path: string, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(path, { end: length - 1 })) chunks.push(chunk as Buffer);
  const content = Buffer.concat(chunks);
  for (const chunk of chunks) chunk.fill(0);
  return content;
}

function withoutNewline(content: Buffer): Uint8Array {
  if (content.at(-1) !== 0x0a) return content;
  return content.subarray(0, content.at(-2) === 0x0d ? -2 : -1);
}

function parseWiping(written: Uint8Array, field: string): ParsedKey {
  try {
    return parseKey(written, field);
  } finally {
    written.fill(0);
  }
}
