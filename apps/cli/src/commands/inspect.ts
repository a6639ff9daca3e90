import { readFile } from "node:fs/promises";
import { defaultCrypto } from "@usmp/crypto";
import { Command, Option } from "commander";
import type { Environment, ExitCode } from "../environment.ts";
import { usage } from "../failure.ts";
import { Inspector, type Summary } from "../inspect/inspector.ts";
import { parseInspectionKeys } from "../inspect/keys.ts";
import { isHexArgument, type Piece, readRecording } from "../inspect/recording.ts";
import { explanationObject, renderExplanation, renderSummary, summaryObject } from "../inspect/report.ts";
import { type KeyOptions, loadAnyKey } from "../key-source.ts";
import { addJsonOption } from "../options.ts";
import { jsonLine } from "../printable.ts";
import type { Reporter } from "../reporter.ts";
import type { CommandContext } from "./context.ts";

interface InspectOptions extends Pick<KeyOptions, "psk" | "pskFile"> {
  readonly key?: string;
  readonly json?: boolean;
}

export function inspectCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("inspect")
    .description("explain a frame or a recorded conversation, field by field and check by check")
    .argument("<hex|file>", "hex digits, or a file: raw bytes, lines of hex, or JSON")
    .addOption(
      new Option(
        "--psk <key>",
        "verify both proofs with this pre-shared key; - reads it from standard input",
      ).conflicts("pskFile"),
    )
    .addOption(new Option("--psk-file <file>", "verify both proofs with the key in this file"))
    .addOption(
      new Option(
        "--key <keys>",
        "open payloads: 128 hex digits (c2s then s2c), c2s:HEX,s2c:HEX, client:HEX or server:HEX",
      ),
    );
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((source: string, options: InspectOptions) =>
      perform(options, async (reporter) => inspect(await readSource(source), options, environment, reporter)),
    );
}

async function inspect(
  pieces: readonly Piece[],
  options: InspectOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const keys = options.key === undefined ? {} : parseInspectionKeys(options.key);
  const psk = await loadAnyKey(options, environment);
  const inspector = new Inspector(defaultCrypto(), psk, keys);
  const print = (object: object, text: string): Promise<void> =>
    reporter.line(options.json ? jsonLine({ time: environment.now().toISOString(), ...object }) : text);
  try {
    for (const piece of pieces) {
      const explanation = inspector.explain(piece);
      await print(explanationObject(explanation), renderExplanation(explanation, environment.stdout));
    }
    const { summary } = inspector;
    await print(summaryObject(summary, psk !== undefined), renderSummary(summary, psk !== undefined));
    return isSound(summary) ? 0 : 1;
  } finally {
    inspector.wipe();
    psk?.wipe();
  }
}

function isSound({ pieces, failedChecks }: Summary): boolean {
  return pieces > 0 && failedChecks === 0;
}

async function readSource(source: string): Promise<readonly Piece[]> {
  if (isHexArgument(source)) return readRecording(Buffer.from(source), "HEX");
  try {
    return readRecording(await readFile(source), source);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw usage(
        `${source}: neither hex digits nor a file that exists; give a frame in hex, or the path of a recording`,
      );
    if (code === "EISDIR") throw usage(`${source}: a directory; give the path of a recording`);
    throw error;
  }
}

const HELP = `
With the PSK, the proofs in HELLO_ACK and SESSION_OK are verified; the payload stays closed: a PSK cannot open recorded
traffic (forward secrecy). With the session keys, or the ephemeral private key of one side, payloads are opened.
A recording is raw bytes, lines such as "client cdab0201…" and "server cdab0202…", or JSON objects {"from", "frame"}.

Examples:
  $ usmp inspect cdab0207000000001c0078c6000000005436edceefb44397a555eac6209a387a4f45a427a4e9fd41
  $ usmp inspect session.txt --psk-file key.txt
  $ usmp inspect session.txt --key client:HEX --json | jq -r .text`;
