import { resolve } from "node:path";
import { formatAddress, parseListenAddress } from "usmp";
import { usage } from "../failure.ts";
import { found, type Given, type Kind } from "./kind.ts";

/** Kinds of settings that name a place: an address, a file, a database, a command. */

/** Where to listen; without host on all interfaces. */
export type ListeningPlace = ReturnType<typeof parseListenAddress>;

/** null: off. */
export const listenAddress: Kind<ListeningPlace | null> = {
  placeholder: "<host:port>",
  example: ":9000",
  parse({ value, field }) {
    if (value === "off" || value === "no" || value === false) return null;
    if (typeof value === "string") return parseListenAddress(value, field());
    if (typeof value === "number") return parseListenAddress(String(value), field());
    throw usage(`${field()} ${found(value)}: not an address; write HOST:PORT, :PORT, or off`);
  },
  print: (value) => (value === null ? "off" : quotedAddress(formatAddress({ ...value, host: value.host ?? "" }))),
};

/** Of a file or directory; a relative one begins where the setting stands: in the file's directory, else in the current one. */
export const path: Kind<string> = {
  placeholder: "<file>",
  example: "/etc/usmp/gateway.pem",
  parse: (given) => resolve(given.base, text(given, "a path", "/etc/usmp/gateway.pem")),
  print: quoted,
};

export const directory: Kind<string> = { ...path, placeholder: "<dir>", example: "/srv/usmp" };

/** postgres://… A password in it is refused where it is opened, and shown nowhere. */
export const databaseUrl: Kind<string> = {
  placeholder: "<url>",
  example: "postgres://usmp@localhost/usmp",
  parse({ value, field }) {
    if (typeof value === "string" && /^postgres(ql)?:\/\//.test(value)) return value;
    const shown = typeof value === "string" ? withoutSecrets(value) : value;
    throw usage(`${field()} ${found(shown)}: not a database; write postgres://USER@HOST/DATABASE`);
  },
  print: (value) => quoted(withoutSecrets(value)),
};

/** Of an environment variable. */
export const variableName: Kind<string> = {
  placeholder: "<name>",
  example: "USMP_MASTER",
  parse({ value, field }) {
    if (typeof value === "string" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value)) return value;
    throw usage(`${field()}: not the name of an environment variable; write one, such as USMP_MASTER`);
  },
  print: (value) => value,
};

/** Words between blanks, for no shell. Arguments may be secret: only the program is shown. */
export const command: Kind<readonly string[]> = {
  placeholder: "<command>",
  example: "/usr/local/bin/master-from-kms",
  parse(given) {
    const words = text(given, "a command", "/usr/local/bin/master-from-kms")
      .split(/\s+/)
      .filter((word) => word !== "");
    if (words.length > 0) return words;
    throw usage(`${given.field()}: an empty command; write /usr/local/bin/master-from-kms`);
  },
  print: ([program = "", ...words]) => quoted(words.length === 0 ? program : `${program} …`),
};

/** Takes out of a URL what may open something: a password, and the query; where the user's name may be a token, that too. */
export function withoutSecrets(text: string): string {
  const [url, user = ""] = /^[a-z][a-z0-9+.-]*:\/\/(?:([^/?#@]*)@)?/i.exec(text) ?? [];
  if (url === undefined) return text;
  const name = url.startsWith("postgres") ? user.replace(/:.*$/s, ":…") : "…";
  return `${user === "" ? url : url.replace(user, name)}${text.slice(url.length).replace(/[?#].*$/s, "?…")}`;
}

function text({ value, field }: Given, what: string, example: string): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw usage(`${field()} ${found(value)}: not ${what}; write ${example}`);
}

/** As YAML takes it back, which any text in JSON is; plain where nothing in it means anything. */
function quoted(value: string): string {
  return /^[A-Za-z/][\w/.@+-]*$/.test(value) ? value : JSON.stringify(value);
}

/** "[::1]:9000" would be a list. */
function quotedAddress(address: string): string {
  return address.startsWith("[") ? JSON.stringify(address) : address;
}
