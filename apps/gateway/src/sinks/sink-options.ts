import { resolve } from "node:path";
import { GatewayError } from "../errors.ts";
import { nearestName } from "./nearest-name.ts";
import type { SinkContext } from "./sink.ts";

type Given = Readonly<Record<string, unknown>>;

/** Reads the options of one sink; what is wrong is named with its place in the configuration, what was found, and what is right. */
export class SinkOptions {
  readonly #given: Given;
  readonly #context: SinkContext;

  /** Refuses options that are none of `names`. */
  constructor(given: Given, context: SinkContext, names: readonly string[]) {
    this.#given = given;
    this.#context = context;
    for (const name of Object.keys(given)) {
      if (names.includes(name)) continue;
      const nearest = nearestName(name, names);
      const meant = nearest === undefined ? `there are ${names.join(", ")}` : `did you mean ${nearest}?`;
      throw new GatewayError("usage", `${this.#place(name)}: there is no such option; ${meant}`);
    }
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.#refuse(name, "a text");
  }

  optionalText(name: string): string | undefined {
    const value = this.#given[name];
    if (value === undefined) return undefined;
    return typeof value === "string" && value !== "" ? value : this.#refuse(name, "a text");
  }

  /** A path; a relative one begins in the data directory. */
  path(name: string): string {
    return resolve(this.#context.dataDirectory, this.text(name));
  }

  optionalPath(name: string): string | undefined {
    return this.#given[name] === undefined ? undefined : this.path(name);
  }

  whole(name: string, { least, most, otherwise }: { least: number; most: number; otherwise: number }): number {
    const value = this.#given[name] ?? otherwise;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    return this.#refuse(name, `a whole number from ${least} to ${most}`);
  }

  texts(name: string): readonly string[] {
    const value = this.#given[name] ?? [];
    const good = Array.isArray(value) && value.every((each) => typeof each === "string" && each !== "");
    return good ? (value as string[]) : this.#refuse(name, "a list of texts");
  }

  /** Throws: the value of `name` is not what it must be. */
  refuse(name: string, problem: string): never {
    throw new GatewayError("usage", `${this.#place(name)}: ${problem}`);
  }

  #refuse(name: string, allowed: string): never {
    const value = this.#given[name];
    const found = value === undefined ? "missing" : JSON.stringify(value);
    return this.refuse(name, `${found}; it must be ${allowed}`);
  }

  #place(name: string): string {
    return `sink ${JSON.stringify(this.#context.name)}, option ${name}`;
  }
}
