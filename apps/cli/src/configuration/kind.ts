import { usage } from "../failure.ts";

/** A value as it was found, and where. */
export interface Given {
  /** Text of a flag or variable; of the file whatever YAML makes of it. */
  readonly value: unknown;
  /** How its place is called in an error: "--workers", "USMP_WORKERS", "gateway.yaml:3:10: workers"; of an inner value by its path. */
  field(path?: readonly (string | number)[]): string;
  /** Where relative paths begin. */
  readonly base: string;
}

/** What a setting's value may be. */
export interface Kind<T> {
  /** Behind the flag: "<time>". */
  readonly placeholder: string;
  /** One that is right, for errors. */
  readonly example: string;
  /** Throws CommandError "usage" or AddressError, which name the place, what was found, and what is allowed. */
  parse(given: Given): T;
  /** As it may be written in the file; what must not be shown is not in it. */
  print(value: T): string;
}

/** For errors: a whole value on one line, never a secret's. */
export function found(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
}

const LONGEST_SHOWN = 80;

/** The words of YAML 1.2, and those of 1.1 that people go on writing. */
const YES_OR_NO: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  [true, true],
  ["true", true],
  ["yes", true],
  ["on", true],
  ["1", true],
  [false, false],
  ["false", false],
  ["no", false],
  ["off", false],
  ["0", false],
]);

export const yesOrNo: Kind<boolean> = {
  placeholder: "[yes/no]",
  example: "yes or no",
  parse({ value, field }) {
    const answer = YES_OR_NO.get(value);
    if (answer === undefined) throw usage(`${field()} ${found(value)}: neither yes nor no; write yes or no`);
    return answer;
  },
  print: (value) => (value ? "yes" : "no"),
};

/** One of some words. */
export function oneOf<Word extends string>(...words: readonly [Word, ...Word[]]): Kind<Word> {
  return {
    placeholder: `<${words.join("/")}>`,
    example: words[0],
    parse({ value, field }) {
      const word = words.find((each) => each === value);
      if (word !== undefined) return word;
      throw usage(`${field()} ${found(value)}: none of ${words.join(", ")}; write one of these`);
    },
    print: (value) => value,
  };
}

export function wholeNumber(minimum: number, maximum: number): Kind<number> {
  return {
    placeholder: "<n>",
    example: String(minimum),
    parse({ value, field }) {
      const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
      if (typeof number === "number" && Number.isInteger(number) && number >= minimum && number <= maximum)
        return number;
      throw usage(
        `${field()} ${found(value)}: not a whole number from ${minimum} to ${maximum}; write one, such as ${minimum}`,
      );
    },
    print: String,
  };
}

const TIME_UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
];

/** In milliseconds. */
export const time: Kind<number> = {
  placeholder: "<time>",
  example: "7d",
  parse: (given) => amount(given, TIME_UNITS, "a time", "500ms, 30s, 15m, 12h or 7d"),
  print: (value) => inUnits(value, TIME_UNITS),
};

const SIZE_UNITS: readonly (readonly [string, number])[] = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["GB", 1e9],
  ["MB", 1e6],
  ["KB", 1e3],
  ["B", 1],
];

/** In bytes. */
export const size: Kind<number> = {
  placeholder: "<size>",
  example: "256MiB",
  parse: (given) => amount(given, SIZE_UNITS, "a size", "64KiB, 256MiB, 1GiB, or 256MB for 256 million bytes"),
  print: (value) => inUnits(value, SIZE_UNITS),
};

/** Commas between them, or a list of YAML. */
export function list(what: string, example: string, allowed: RegExp): Kind<readonly string[]> {
  return {
    placeholder: `<${what},…>`,
    example,
    parse({ value, field }) {
      const entries = typeof value === "string" ? split(value) : value;
      if (!Array.isArray(entries)) throw usage(`${field()} ${found(value)}: not a list; write ${example}`);
      return entries.map((entry: unknown, i) => {
        if (typeof entry === "string" && allowed.test(entry)) return entry;
        throw usage(`${field(typeof value === "string" ? [] : [i])} ${found(entry)}: no ${what}; write ${example}`);
      });
    },
    print: (value) => `[${value.map((entry) => JSON.stringify(entry)).join(", ")}]`,
  };
}

function split(text: string): string[] {
  return /^(\[\s*\])?$/.test(text) ? [] : text.split(",").map((entry) => entry.trim());
}

function amount(
  { value, field }: Given,
  units: readonly (readonly [string, number])[],
  what: string,
  examples: string,
): number {
  const [, digits, unit] = (typeof value === "string" && /^(\d{1,12}) ?([A-Za-z]+)$/.exec(value)) || [];
  const factor = units.find(([name]) => name === unit)?.[1];
  const total = Number(digits) * (factor ?? Number.NaN);
  if (total >= 1 && total <= Number.MAX_SAFE_INTEGER) return total;
  throw usage(`${field()} ${found(value)}: not ${what}; write ${examples}`);
}

/** In the largest unit that leaves nothing over. */
function inUnits(value: number, units: readonly (readonly [string, number])[]): string {
  const [name, factor] = units.find(([, each]) => value % each === 0) as readonly [string, number];
  return `${value / factor}${name}`;
}
