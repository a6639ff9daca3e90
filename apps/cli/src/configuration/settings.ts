import type { SinkSettings } from "@usmp/gateway";
import { DEFAULT_LIMITS, type Limits } from "@usmp/protocol";

import { type Kind, list, oneOf, size, time, wholeNumber, yesOrNo } from "./kind.ts";
import {
  command,
  databaseUrl,
  directory,
  type ListeningPlace,
  listenAddress,
  path,
  variableName,
} from "./place-kinds.ts";
import type { Setting } from "./setting.ts";
import { sinks } from "./sinks-kind.ts";

/** The least that a log of JSON lines has. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** What each setting is once it was read. Times in milliseconds, sizes in bytes; null: off. */
export interface Values extends LimitValues {
  readonly data: string | undefined;
  readonly tcp: ListeningPlace | null;
  readonly udp: ListeningPlace | null;
  readonly database: string | undefined;
  readonly "master-file": string | undefined;
  readonly "master-sealed": string | undefined;
  readonly "master-variable": string | undefined;
  readonly "master-command": readonly string[] | undefined;
  readonly durable: boolean;
  readonly sealed: boolean;
  readonly keep: number;
  readonly "keep-bytes": number;
  readonly "keep-bytes-per-device": number;
  readonly "queue-ttl": number;
  readonly "queue-per-device": number;
  readonly "queue-bytes-per-device": number;
  readonly "drain-per-second": number;
  readonly http: ListeningPlace | null;
  readonly "http-certificate": string | undefined;
  readonly "http-key": string | undefined;
  readonly "http-insecure": boolean;
  readonly "http-allowed-hosts": readonly string[];
  readonly "http-allowed-origins": readonly string[];
  readonly sinks: readonly SinkSettings[];
  readonly workers: number;
  readonly dev: boolean;
  readonly echo: boolean;
  readonly "log-format": "pretty" | "json";
  readonly "log-level": LogLevel;
  readonly "security-log": string | undefined;
}

/** limit-sessions, limit-handshakes-per-source…: docs/limits.md has their reasons. */
export type LimitValues = { readonly [Name in keyof Limits as `limit-${Kebab<Unitless<Name>>}`]: number };
type Unitless<Name extends string> = Name extends `${infer Stem}Ms` ? Stem : Name;
type Kebab<Text extends string> = Text extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `-${Lowercase<First>}`}${Kebab<Rest>}`
  : "";

export type SettingName = keyof Values;

const MOST = 1_000_000_000;

const MASTER = { group: "Where the master secret is", initial: undefined, exclusive: "master" } as const;
const MESSAGES = { group: "Messages" } as const;
const HTTP = { group: "The HTTP API" } as const;

/** Every setting of `usmp gateway`, in the order of --help, --print-config and docs/configuration.md. */
export const SETTINGS: { readonly [Name in SettingName]: Setting<Values[Name]> } = {
  data: {
    group: "Where it listens and keeps its data",
    kind: directory,
    initial: undefined,
    unset: "usmp in XDG_DATA_HOME or ~/.local/share",
    description: "the data directory; the other commands find the gateway by it",
    notInFile: true,
  },
  tcp: {
    group: "Where it listens and keeps its data",
    kind: listenAddress,
    initial: ":9000",
    description:
      "listen on TCP here; :PORT is all interfaces, port 0 a free one. With only one of tcp and udp set, the other is off",
  },
  udp: {
    group: "Where it listens and keeps its data",
    kind: listenAddress,
    initial: ":9000",
    description: "listen on UDP here",
  },
  database: {
    group: "Where it listens and keeps its data",
    kind: databaseUrl,
    initial: undefined,
    unset: "SQLite in the data directory",
    description: "postgres://… instead of SQLite; the password comes from the file that PGPASSFILE names",
  },
  "master-file": {
    ...MASTER,
    kind: path,
    unset: "master in the data directory, made on the first run",
    description: "64 hex digits in a file of mode 0600",
  },
  "master-sealed": {
    ...MASTER,
    kind: path,
    unset: "not used",
    description:
      "a file sealed with a passphrase, asked for at each start, or read from the file that USMP_PASSPHRASE_FILE names",
  },
  "master-variable": {
    ...MASTER,
    kind: variableName,
    unset: "not used",
    description: "an environment variable with 64 hex digits",
  },
  "master-command": {
    ...MASTER,
    kind: command,
    unset: "not used",
    description:
      "a command that prints 64 hex digits: a KMS, a hardware token; words are separated by blanks, no shell",
  },
  durable: {
    ...MESSAGES,
    kind: yesOrNo,
    initial: "no",
    description: "acknowledge a device's message only when it is safe in the store",
  },
  sealed: {
    ...MESSAGES,
    kind: yesOrNo,
    initial: "no",
    description: "seal stored payloads under the master secret",
  },
  keep: { ...MESSAGES, kind: time, initial: "7d", description: "forget stored messages after so long" },
  "keep-bytes": {
    ...MESSAGES,
    kind: size,
    initial: "256MiB",
    description: "forget the oldest stored messages beyond so much in all",
  },
  "keep-bytes-per-device": {
    ...MESSAGES,
    kind: size,
    initial: "32MiB",
    description: "the same for the messages of one device",
  },
  "queue-ttl": {
    ...MESSAGES,
    kind: time,
    initial: "7d",
    description: "how long a message waits for its device when its sender does not say",
  },
  "queue-per-device": {
    ...MESSAGES,
    kind: wholeNumber(1, MOST),
    initial: "1000",
    description: "messages that may wait for one device",
  },
  "queue-bytes-per-device": {
    ...MESSAGES,
    kind: size,
    initial: "1MiB",
    description: "their size together",
  },
  "drain-per-second": {
    ...MESSAGES,
    kind: wholeNumber(1, 100_000),
    initial: "50",
    description: "messages a second towards a device that comes back to a queue",
  },
  http: {
    ...HTTP,
    kind: listenAddress,
    initial: "off",
    description:
      "serve the HTTP API here; :PORT is the loopback address. Elsewhere it needs a certificate, or http-insecure",
  },
  "http-certificate": {
    ...HTTP,
    kind: path,
    initial: undefined,
    unset: "no TLS",
    description: "the certificate with its chain, PEM; http-key goes with it",
  },
  "http-key": {
    ...HTTP,
    kind: path,
    initial: undefined,
    unset: "no TLS",
    description: "the certificate's private key, PEM",
  },
  "http-insecure": {
    ...HTTP,
    kind: yesOrNo,
    initial: "no",
    description: "serve plain HTTP beyond loopback, because a proxy in front encrypts",
  },
  "http-allowed-hosts": {
    ...HTTP,
    kind: list("name", "panel.example", /^[\w.:[\]-]{1,255}$/),
    initial: "[]",
    description: "names under which it is reached, beside localhost and its address",
  },
  "http-allowed-origins": {
    ...HTTP,
    kind: list("origin", "https://panel.example", /^https?:\/\/[^\s/]{1,255}$/),
    initial: "[]",
    description: "origins of pages that may speak to it",
  },
  sinks: {
    group: "Sinks",
    kind: sinks,
    initial: "[]",
    description:
      "where stored messages go on to: a list of name, type (file, webhook, or the path of a module), devices (all, when left out) and options",
  },
  workers: {
    group: "Operation",
    kind: wholeNumber(1, 64),
    initial: "1",
    description: "share the ports and the work among so many processes beside this one; 1: this one alone",
  },
  dev: {
    group: "Operation",
    kind: yesOrNo,
    initial: "no",
    description: "let the published development key be a device's key, for a bench: every screen and the log say so",
  },
  echo: { group: "Operation", kind: yesOrNo, initial: "no", description: "send each message back" },
  "log-format": {
    group: "Operation",
    kind: oneOf("pretty", "json"),
    initial: "pretty",
    description:
      "how standard output tells what happens: lines for people, or a log of JSON lines without payloads (observability.md)",
  },
  "log-level": {
    group: "Operation",
    kind: oneOf("info", "debug", "warn", "error"),
    initial: "info",
    description: "with log-format json: the least level that is written; debug has each message, without what is in it",
  },
  "security-log": {
    group: "Operation",
    kind: path,
    initial: undefined,
    unset: "none",
    description:
      "a file that gets a copy of the audit: what was done to keys and tokens and by whom, and who was refused",
  },
  ...limits(),
};

export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];

/** The field of Limits that a setting is; undefined for all other settings. */
export function limitOf(name: string): keyof Limits | undefined {
  return LIMIT_FIELDS.find((field) => limitName(field) === name);
}

const LIMIT_FIELDS = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];

function limits(): { readonly [Name in keyof LimitValues]: Setting<number> } {
  const entries = (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).map((field) => {
    const inTime = field.endsWith("Ms");
    const kind: Kind<number> = inTime ? time : wholeNumber(1, MOST);
    const setting: Setting<number> = {
      group: "Limits",
      kind,
      initial: kind.print(DEFAULT_LIMITS[field]),
      description: `${field} of limits.md`,
    };
    return [limitName(field), setting];
  });
  return Object.fromEntries(entries) as { readonly [Name in keyof LimitValues]: Setting<number> };
}

/** The unit is the value's: provenMs is limit-proven. */
function limitName(field: string): string {
  return `limit-${field.replace(/Ms$/, "").replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
