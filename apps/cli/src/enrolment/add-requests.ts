import { readFile } from "node:fs/promises";
import type { AddParams } from "@usmp/gateway";
import { formatDeviceId, parseDeviceId, parseKey } from "usmp";
import { usage } from "../failure.ts";
import { readKeyFile } from "../key-source.ts";
import { parseDeviceTable } from "./device-table.ts";

/** What `usmp device add` was asked for. */
export interface AddOptions {
  readonly name?: string | undefined;
  readonly tag?: readonly string[] | undefined;
  readonly count?: number | undefined;
  readonly fromCsv?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly batch?: string | undefined;
  readonly allowWeak?: boolean | undefined;
}

/** The devices to add. Throws with exit code 2 for options that contradict each other, and for files that are no table or no key. */
export async function addRequests(id: string | undefined, options: AddOptions): Promise<readonly AddParams[]> {
  refuseContradictions(id, options);
  const { name, tag = [], count = 1, fromCsv, keyFile, batch, allowWeak } = options;
  const common = {
    ...(batch === undefined ? {} : { batch }),
    ...(allowWeak === undefined ? {} : { allowWeak }),
  };
  if (fromCsv !== undefined) return fromTable(fromCsv, tag, common);
  if (id !== undefined) {
    const key =
      keyFile === undefined ? {} : { key: await keyDigits(await readKeyFile(keyFile, "--key-file"), "--key-file") };
    return [{ id: canonicalId(id, "ID"), ...named(name), tags: tag, ...key, ...common }];
  }
  return Array.from({ length: count }, (_, index) => ({
    ...named(name === undefined || count === 1 ? name : `${name}-${index + 1}`),
    tags: tag,
    ...common,
  }));
}

function refuseContradictions(id: string | undefined, { name, count, fromCsv, keyFile, batch }: AddOptions): void {
  if (
    fromCsv !== undefined &&
    (id !== undefined || count !== undefined || name !== undefined || keyFile !== undefined)
  ) {
    throw usage("--from-csv names the devices itself: leave ID, --name, --count and --key-file out");
  }
  if (id !== undefined && count !== undefined)
    throw usage("--count makes devices with ids of their own: leave ID out, or --count");
  if (keyFile !== undefined && id === undefined) {
    throw usage(
      "--key-file is the key of a device that has it already: give its id, usmp device add ID --key-file FILE",
    );
  }
  if (keyFile !== undefined && batch !== undefined) {
    throw usage("--key-file brings a key along, and with --batch it comes from the factory: give one of them");
  }
  if (batch !== undefined && id === undefined && fromCsv === undefined) {
    throw usage("--batch is for devices whose keys the factory made from their ids: give ID or --from-csv FILE");
  }
}

async function fromTable(
  file: string,
  tags: readonly string[],
  common: Partial<AddParams>,
): Promise<readonly AddParams[]> {
  const rows = parseDeviceTable(await readTable(file), `--from-csv ${file}`);
  const requests: AddParams[] = [];
  for (const { line, id, name, tags: own, key } of rows) {
    const where = `--from-csv ${file}, line ${line}`;
    if (key !== undefined && common.batch !== undefined)
      throw usage(`${where}: it has a key, and --batch makes keys; take one of them out`);
    requests.push({
      ...(id === undefined ? {} : { id: canonicalId(id, where) }),
      ...named(name),
      tags: [...tags, ...own],
      ...(key === undefined ? {} : { key: await keyDigits(Buffer.from(key), where) }),
      ...common,
    });
  }
  return requests;
}

function named(name: string | undefined): { name?: string } {
  return name === undefined ? {} : { name };
}

function canonicalId(id: string, field: string): string {
  return formatDeviceId(parseDeviceId(id, field));
}

/** As the control socket takes it. The gateway holds it to its policy. Wipes `written`. */
async function keyDigits(written: Uint8Array, field: string): Promise<string> {
  try {
    using key = parseKey(written, field).key;
    return Buffer.from(key.expose()).toString("hex");
  } finally {
    written.fill(0);
  }
}

/** Larger files are no tables of devices. */
const LONGEST_TABLE = 16_777_216;

async function readTable(file: string): Promise<string> {
  try {
    const content = await readFile(file);
    if (content.length > LONGEST_TABLE) throw usage(`--from-csv ${file}: it is too long for a table of devices`);
    return content.toString("utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw usage(`--from-csv ${file}: there is no such file`);
    if (code === "EISDIR") throw usage(`--from-csv ${file}: it is a directory; name the file`);
    throw error;
  }
}
