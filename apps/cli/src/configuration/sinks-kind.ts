import type { SinkSettings } from "@usmp/gateway";
import { usage } from "../failure.ts";
import { found, type Given, type Kind } from "./kind.ts";
import { nearest } from "./nearest.ts";
import { withoutSecrets } from "./place-kinds.ts";

const FIELDS = ["name", "type", "devices", "options"];
const EXAMPLE = '[{"name": "log", "type": "file", "options": {"path": "messages.jsonl"}}]';

/** A list of objects; of a flag or variable the same in JSON. What the options mean is each sink's own. */
export const sinks: Kind<readonly SinkSettings[]> = {
  placeholder: "<json>",
  example: EXAMPLE,
  parse(given) {
    const value = typeof given.value === "string" ? fromText(given) : given.value;
    const at = (...path: (string | number)[]): string => given.field(path);
    if (!Array.isArray(value)) throw usage(`${at()} ${found(value)}: not a list of sinks; write ${EXAMPLE}`);
    const parsed = value.map((entry: unknown, i) => sink(entry, (...path) => at(i, ...path)));
    const twice = parsed.findIndex(({ name }, i) => parsed.findIndex((other) => other.name === name) < i);
    if (twice !== -1)
      throw usage(`${at(twice, "name")} ${found(parsed[twice]?.name)}: two sinks have it; write another`);
    return parsed;
  },
  print: (value) => JSON.stringify(value, (key, inner: unknown) => (shown(key) ? clean(inner) : "…")),
};

type At = (...path: (string | number)[]) => string;

function sink(entry: unknown, at: At): SinkSettings {
  if (!isRecord(entry)) throw usage(`${at()} ${found(entry)}: not a sink; write ${EXAMPLE.slice(1, -1)}`);
  for (const key of Object.keys(entry)) {
    if (FIELDS.includes(key)) continue;
    const meant = nearest(key, FIELDS);
    throw usage(
      `${at(key)}: "${key}" is no field of a sink; write ${meant === undefined ? "name, type, devices or options (what a sink itself understands belongs into options)" : `"${meant}"`}`,
    );
  }
  const { name, type, devices, options = {} } = entry;
  if (typeof name !== "string" || !/^[\w.-]{1,64}$/.test(name))
    throw usage(`${at("name")} ${found(name)}: not a name; write up to 64 letters, digits, dots, dashes`);
  if (typeof type !== "string" || type === "")
    throw usage(`${at("type")} ${found(type)}: not a type; write file, webhook, or the path of a module`);
  if (devices !== undefined && !(Array.isArray(devices) && devices.every((id) => typeof id === "string")))
    throw usage(`${at("devices")} ${found(devices)}: not a list of device ids; write ["02:00:00:00:00:01"]`);
  if (!isRecord(options))
    throw usage(`${at("options")} ${found(options)}: not an object; write {"path": "messages.jsonl"}`);
  return { name, type, devices, options };
}

function fromText(given: Given): unknown {
  try {
    return JSON.parse(given.value as string);
  } catch {
    // What the parser says about it may show a piece of it.
    throw usage(`${given.field()}: not JSON; write ${EXAMPLE}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Options that end in "file" name a place, not a secret. */
function shown(key: string): boolean {
  return !/secret|password|passphrase|token|key|authorization|header/i.test(key) || /file$/i.test(key);
}

function clean(value: unknown): unknown {
  return typeof value === "string" ? withoutSecrets(value) : value;
}
