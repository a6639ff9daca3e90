import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Document, isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { CommandError, usage } from "../failure.ts";
import { nearest } from "./nearest.ts";
import { flagOf, variableOf } from "./setting.ts";
import { SETTING_NAMES, SETTINGS, type SettingName } from "./settings.ts";
import type { ConfigurationFile } from "./sources.ts";

/** Of the file in the data directory that is read when none is named. */
const FILE_NAME = "gateway.yaml";

/** Far more than all settings take. */
const LARGEST_BYTES = 1_048_576;

/**
 * Reads the file that --config or USMP_CONFIG names, else gateway.yaml in the data directory if there is one. Throws CommandError "usage"
 * with file, line and column.
 */
export function readConfigurationFile(
  named: { readonly path: string; readonly by: string } | undefined,
  dataDirectory: string,
): ConfigurationFile | undefined {
  const path = resolve(named?.path ?? join(dataDirectory, FILE_NAME));
  let text: string;
  try {
    checkOwner(path);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (named === undefined && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    throw usage(
      `${named?.by ?? "the configuration"} ${JSON.stringify(path)}: cannot be read (${code}); give a YAML file that can`,
    );
  }
  return parseConfiguration(text, path);
}

/** The content of a configuration file; `path` is what errors call it. Throws CommandError "usage". */
export function parseConfiguration(text: string, path: string): ConfigurationFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const [error] = document.errors;
  if (error !== undefined)
    throw usage(`${at(error.pos[0])}: not YAML (${error.message.split("\n")[0]}); write lines such as "queue-ttl: 7d"`);
  const { contents } = document;
  if (contents === null) return { path, problems: [], find: () => undefined };
  if (!isMap(contents))
    throw usage(`${at(contents.range?.[0] ?? 0)}: no settings, but one value; write lines such as "queue-ttl: 7d"`);
  const pairs = new Map(contents.items.map((pair) => [keyOf(pair), pair]));
  const start = (node: unknown): number => (node as Node | null)?.range?.[0] ?? 0;
  return {
    path,
    problems: [...pairs].flatMap(([name, { key }]) => wrongName(name, at(start(key)))),
    find(name) {
      const pair = pairs.get(name);
      // "database:" with nothing behind it sets nothing.
      if (pair === undefined || pair.value === null || (isScalar(pair.value) && pair.value.value === null))
        return undefined;
      const position = (inner: readonly (string | number)[]): number => {
        const node = document.getIn([name, ...inner], true);
        return node === undefined && inner.length > 0 ? position(inner.slice(0, -1)) : start(node ?? pair.key);
      };
      const field = (inner: readonly (string | number)[] = []): string =>
        `${at(position(inner))}: ${named(name, inner)}`;
      const value = plainValue(pair.value as Node, document, field);
      const line = lines.linePos(start(pair.key)).line;
      return { origin: "file", place: `${path}:${line}`, given: { value, field, base: dirname(path) } };
    },
  };
}

function plainValue(node: Node, document: Document, field: () => string): unknown {
  try {
    return node.toJS(document, { maxAliasCount: 0 });
  } catch {
    throw usage(`${field()}: has an alias (*name), which is not taken; write the value out`);
  }
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function named(name: string, inner: readonly (string | number)[]): string {
  return [name, ...inner]
    .map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`))
    .join("");
}

function wrongName(name: string, place: string): Error[] {
  const setting = SETTINGS[name as SettingName];
  if (setting?.notInFile)
    return [
      usage(
        `${place}: "${name}" is not set here, because other commands do not read this file; use ${flagOf(name)} or ${variableOf(name)}`,
      ),
    ];
  if (setting !== undefined) return [];
  const meant = nearest(name, SETTING_NAMES);
  const advice = meant === undefined ? "usmp gateway --print-config lists them" : `did you mean "${meant}"?`;
  return [usage(`${place}: "${name.slice(0, 64)}" is no setting; ${advice}`)];
}

/** It may name a program to run: who can change it can be the gateway. */
function checkOwner(path: string): void {
  const { uid, gid, mode, size } = statSync(path);
  if (size > LARGEST_BYTES) throw usage(`${path}: has ${size} bytes, which no configuration has; give another file`);
  const self = process.geteuid?.();
  if (self === undefined) return;
  const others = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== process.getegid?.());
  if (others)
    throw usage(`${path}: others may change it (mode ${(mode & 0o777).toString(8)}); run "chmod go-w ${path}"`);
  if (uid !== 0 && uid !== self && self !== 0)
    throw usage(`${path}: belongs to another user (uid ${uid}); run "chown ${self} ${path}"`);
}
