import { usage } from "../failure.ts";
import type { Given } from "./kind.ts";
import { nearest } from "./nearest.ts";
import { flagOf, type Setting, variableOf } from "./setting.ts";
import { SETTING_NAMES, SETTINGS, type SettingName, type Values } from "./settings.ts";
import type { Found, Origin, Sources } from "./sources.ts";

export interface Configured<T> {
  readonly value: T;
  readonly origin: Origin;
  /** "/etc/usmp/gateway.yaml:3", "USMP_TCP", "--tcp"; undefined of a default. */
  readonly place?: string;
}

export type Configuration = { readonly [Name in SettingName]: Configured<Values[Name]> };

/** Flags over environment over file over defaults. Throws CommandError "usage" with everything that is wrong. */
export function configure(sources: Sources): Configuration {
  const problems: Error[] = unknownNames(sources);
  const configured: Record<string, Configured<unknown>> = {};
  for (const name of SETTING_NAMES) {
    try {
      configured[name] = one(name, SETTINGS[name] as Setting<unknown>, sources);
    } catch (error) {
      problems.push(error as Error);
    }
  }
  if (problems.length === 0) {
    chooseExclusive(configured);
    const configuration = configured as Configuration;
    return { ...configuration, ...listeners(configuration) };
  }
  throw joined(problems);
}

function one(name: string, setting: Setting<unknown>, sources: Sources): Configured<unknown> {
  const found = inFlags(name, sources) ?? inVariables(name, sources) ?? sources.file?.find(name);
  if (found === undefined) {
    const { initial, kind } = setting;
    const given: Given = { value: initial, field: () => name, base: sources.currentDirectory };
    return { value: initial === undefined ? undefined : kind.parse(given), origin: "default" };
  }
  const { origin, place, given } = found;
  return { value: setting.kind.parse(given), origin, place };
}

function inFlags(name: string, { flags, currentDirectory }: Sources): Found | undefined {
  const value = flags.get(name);
  return value === undefined ? undefined : outside("flag", flagOf(name), value, currentDirectory);
}

/** An empty variable is one that is not set, as shells and container files have no other way to say so. */
function inVariables(name: string, { variables, currentDirectory }: Sources): Found | undefined {
  const value = variables[variableOf(name)];
  return value === undefined || value === ""
    ? undefined
    : outside("variable", variableOf(name), value, currentDirectory);
}

function outside(origin: Origin, place: string, value: unknown, base: string): Found {
  const field = (path: readonly (string | number)[] = []): string =>
    [place, ...path]
      .reduce<string>((text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}.${part}`), "")
      .slice(1);
  return { origin, place, given: { value, field, base } };
}

/** Variables of the name's family that mean something else. */
const OTHER_VARIABLES = ["USMP_CONFIG", "USMP_PSK_FILE", "USMP_PASSPHRASE_FILE"];

/**
 * A variable that is nearly a setting's was meant to be it. Others that begin with USMP_ are let be: Kubernetes gives each container
 * USMP_PORT, USMP_SERVICE_HOST and more for a service called usmp, and --master-variable names one of its owner's.
 */
function unknownNames({ variables, file }: Sources): Error[] {
  const known = [...SETTING_NAMES.map(variableOf), ...OTHER_VARIABLES];
  const wrong = Object.keys(variables).flatMap((name) => {
    if (!name.startsWith("USMP_") || known.includes(name)) return [];
    const meant = nearest(name.slice("USMP_".length), SETTING_NAMES);
    return meant === undefined || Math.abs(variableOf(meant).length - name.length) > 2
      ? []
      : [usage(`${name}: no variable of the gateway has this name; did you mean ${variableOf(meant)}?`)];
  });
  return [...(file?.problems ?? []), ...wrong];
}

/** Of settings that exclude each other the one that was set most directly counts; two set in the same way are an error. */
function chooseExclusive(configured: Record<string, Configured<unknown>>): void {
  const strength: readonly Origin[] = ["default", "file", "variable", "flag"];
  const groups = new Set(SETTING_NAMES.flatMap((name) => SETTINGS[name].exclusive ?? []));
  for (const group of groups) {
    const rank = (name: string): number => strength.indexOf(configured[name]?.origin ?? "default");
    const [first, second, ...rest] = SETTING_NAMES.filter(
      (name) => SETTINGS[name].exclusive === group && rank(name) > 0,
    ).sort((a, b) => rank(b) - rank(a));
    if (first === undefined || second === undefined) continue;
    if (rank(first) === rank(second)) {
      const places = [configured[first]?.place, configured[second]?.place];
      throw usage(`${places.join(" and ")}: ${first} and ${second} exclude each other; take one of them away`);
    }
    for (const name of [second, ...rest]) configured[name] = { value: undefined, origin: "default" };
  }
}

/** One transport that was chosen leaves the other off. */
function listeners({ tcp, udp }: Configuration): Pick<Configuration, "tcp" | "udp"> {
  const off = { value: null, origin: "default" } as const;
  const tcpChosen = tcp.origin !== "default" && tcp.value !== null;
  const udpChosen = udp.origin !== "default" && udp.value !== null;
  const both = {
    tcp: udpChosen && tcp.origin === "default" ? off : tcp,
    udp: tcpChosen && udp.origin === "default" ? off : udp,
  };
  if (both.tcp.value !== null || both.udp.value !== null) return both;
  throw usage(
    `${tcp.place ?? "tcp"} and ${udp.place ?? "udp"}: both are off, so no device could connect; give one an address`,
  );
}

/** At most so many at once: whoever sees these comes again. */
const MOST_PROBLEMS = 5;

function joined(problems: readonly Error[]): Error {
  const [first, ...rest] = problems;
  if (rest.length === 0) return first as Error;
  const shown = problems.slice(0, MOST_PROBLEMS).map(({ message }) => message);
  const more = problems.length - shown.length;
  return usage([...shown, ...(more > 0 ? [`and ${more} more`] : [])].join(" | "));
}
