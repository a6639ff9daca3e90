import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { EnrolledDevice, GatewayStatus, SnippetLanguage } from "@usmp/gateway";
import { type Command, Option } from "commander";
import type { Environment } from "../environment.ts";
import { usage } from "../failure.ts";
import { jsonLine } from "../printable.ts";
import type { Reporter } from "../reporter.ts";

/** Where the key of a device goes: it is handed out once, by `device add` and `device rotate`. */
export interface OutputOptions {
  readonly json?: boolean | undefined;
  /** A directory for NVS image inputs. */
  readonly nvs?: string;
  readonly saveKey?: string;
  readonly snippet?: SnippetLanguage;
  readonly plaintextKey?: boolean;
  /** False with --no-qr. */
  readonly qr?: boolean;
}

const LANGUAGES: readonly SnippetLanguage[] = ["arduino", "esp-idf", "python", "typescript"];

export function addOutputOptions(command: Command): Command {
  return command
    .addOption(new Option("--nvs <dir>", "write each key as input of an ESP32 NVS image there (CSV, mode 0600)"))
    .addOption(new Option("--save-key <file>", "write the key to a new file of mode 0600, and do not show it"))
    .addOption(
      new Option("--snippet <language>", "print a program for the device that reads its key at run time").choices(
        LANGUAGES,
      ),
    )
    .addOption(new Option("--plaintext-key", "with --snippet: put the key itself into the program, for the bench only"))
    .addOption(new Option("--no-qr", "print no QR code on the terminal"));
}

/** Before anything is enrolled: refuses options that contradict each other, and files that are there and would not be replaced. */
export async function checkOutputOptions(
  { saveKey, nvs, snippet, plaintextKey }: OutputOptions,
  devices: number,
  ids: readonly string[],
): Promise<void> {
  if (plaintextKey && snippet === undefined) throw usage("--plaintext-key goes with --snippet LANGUAGE");
  if (devices > 1 && saveKey !== undefined) throw usage("--save-key is for one device; --nvs DIR or --json takes many");
  if (devices > 1 && snippet !== undefined) throw usage("--snippet is for one device");
  if ((snippet === "arduino" || snippet === "esp-idf") && ids.length < devices) {
    throw usage("an ESP32's device id is its Wi-Fi MAC address, not a random one: give it (esptool read-mac shows it)");
  }
  const { nvsFileName } = await import("@usmp/gateway");
  const files = [
    ...(saveKey === undefined ? [] : [saveKey]),
    ...(nvs === undefined ? [] : ids.map((id) => join(nvs, nvsFileName(id)))),
  ];
  for (const file of files) {
    if (existsSync(file)) throw usage(`${file} exists already and is not replaced; remove it, or give another name`);
  }
}

/** Hands out the keys: to files, to the terminal, or as JSON. The library is loaded by who talks to the gateway. */
export async function handOut(
  devices: readonly EnrolledDevice[],
  options: OutputOptions,
  status: Pick<GatewayStatus, "addresses">,
  { environment, reporter }: { readonly environment: Environment; readonly reporter: Reporter },
): Promise<void> {
  for (const device of devices) {
    const files = await writeFiles(device, options);
    const program = options.snippet === undefined ? undefined : await programOf(device, options, status);
    if (options.json) {
      await reporter.line(
        jsonLine({
          time: environment.now().toISOString(),
          event: "enrolled",
          ...device,
          ...files,
          ...(program === undefined ? {} : { snippet: program }),
        }),
      );
      continue;
    }
    for (const line of await describe(device, options, files, devices.length, environment)) await reporter.line(line);
    if (program !== undefined) await reporter.line(`\n${program}`);
  }
  if (options.json || options.nvs === undefined || helped.has(reporter)) return;
  helped.add(reporter);
  for (const line of await nvsHelp(devices, options.nvs)) await reporter.line(line);
}

/** Keys of a whole fleet are handed out one by one; how to flash them is said once. */
const helped = new WeakSet<Reporter>();

interface WrittenFiles {
  readonly nvs?: string;
  readonly keyFile?: string;
}

async function writeFiles(device: EnrolledDevice, { nvs, saveKey }: OutputOptions): Promise<WrittenFiles> {
  const { hexDigits, nvsCsv, nvsFileName, writeSecretFile } = await import("@usmp/gateway");
  const written: { nvs?: string; keyFile?: string } = {};
  const write = async (path: string, content: string): Promise<void> => {
    if (await writeSecretFile(path, Buffer.from(content), { replace: false })) return;
    throw usage(
      `${path} exists already and is not replaced; ${device.id} is enrolled, and its key was not written: ` +
        `usmp device rotate ${device.id} --replace hands out another one`,
    );
  };
  if (saveKey !== undefined) {
    await write(saveKey, `${hexDigits(device.psk)}\n`);
    written.keyFile = saveKey;
  }
  if (nvs !== undefined) {
    await mkdir(nvs, { recursive: true, mode: 0o700 });
    const path = join(nvs, nvsFileName(device.id));
    await write(path, nvsCsv(device));
    written.nvs = path;
  }
  return written;
}

async function programOf(
  { id, psk }: EnrolledDevice,
  { snippet: language, plaintextKey }: OutputOptions,
  { addresses }: Pick<GatewayStatus, "addresses">,
): Promise<string> {
  const { deviceAddresses, hexDigits, snippet } = await import("@usmp/gateway");
  const reachable = addresses.flatMap((address) => deviceAddresses(address));
  const { host, port, transport } = reachable[0] ??
    addresses[0] ?? { host: "192.168.1.10", port: 9000, transport: "tcp" };
  return snippet(language as SnippetLanguage, {
    id,
    host,
    port,
    transport,
    plaintextKey: plaintextKey ? hexDigits(psk) : undefined,
  });
}

async function describe(
  device: EnrolledDevice,
  { qr }: OutputOptions,
  { nvs, keyFile }: WrittenFiles,
  total: number,
  { stdout }: Environment,
): Promise<readonly string[]> {
  const { describeKeyForms, enrolmentUri, qrForTerminal } = await import("@usmp/gateway");
  const name = device.name === null ? "" : ` ${JSON.stringify(device.name)}`;
  const heading = `enrolled   ${device.id}${name}, key of generation ${device.generation}`;
  const grace =
    device.graceEndsAt === undefined
      ? []
      : [`  the key before is good until ${new Date(device.graceEndsAt).toLocaleString()} or until this one is used`];
  if (nvs !== undefined || keyFile !== undefined) {
    return [
      heading,
      ...grace,
      ...[nvs, keyFile].filter((path) => path !== undefined).map((path) => `  its key is in ${path} (mode 0600)`),
    ];
  }
  const shown = stdout.isTTY === true && qr !== false && total === 1;
  return [
    heading,
    ...grace,
    "  This is shown once:",
    ...describeKeyForms(device.psk).map((line) => `  ${line}`),
    ...(shown ? [qrForTerminal(enrolmentUri(device))] : []),
    ...(shown
      ? [`  From here to the first message: docs/devices, or --snippet ${LANGUAGES.join("|")} for a program`]
      : []),
  ];
}

async function nvsHelp(devices: readonly EnrolledDevice[], directory: string): Promise<readonly string[]> {
  const { nvsCommands, nvsFileName } = await import("@usmp/gateway");
  const [first] = devices;
  if (first === undefined) return [];
  const { encrypted, plain } = nvsCommands(join(directory, nvsFileName(first.id)));
  const others = devices.length === 1 ? "" : ` (${first.id}; the others alike)`;
  return [
    "",
    "An ESP32's device id is its Wi-Fi MAC address (esptool read-mac): enrol that one.",
    `Onto the device, with NVS encryption (needs flash encryption; docs/devices/esp-idf.md)${others}:`,
    ...encrypted.map((command) => `  $ ${command}`),
    "",
    "or in the clear, which whoever holds the board can read:",
    ...plain.map((command) => `  $ ${command}`),
  ];
}
