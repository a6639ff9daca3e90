import { spawn } from "node:child_process";
import { CommandError } from "../failure.ts";
import { UNIT_NAME } from "./systemd-unit.ts";

export type Scope = "system" | "user";

/** What systemd knows of the service. */
export interface UnitState {
  /** "active", "activating", "failed", "inactive"… */
  readonly active: string;
  readonly enabled: string;
  readonly pid: number | null;
  readonly restarts: number;
  /** Of the last process that ended. */
  readonly exitCode: number;
}

/** Speaks to systemd through systemctl, which is found by PATH. Throws CommandError "system" with what it said. */
export class Systemctl {
  readonly #scope: Scope;
  readonly #variables: Readonly<Record<string, string | undefined>>;

  constructor(scope: Scope, variables: Readonly<Record<string, string | undefined>>) {
    this.#scope = scope;
    this.#variables = variables;
  }

  /** Reads the unit that was written, starts it now and at each boot. */
  async start(): Promise<void> {
    await this.#run("daemon-reload");
    await this.#run("enable", UNIT_NAME);
    await this.#run("restart", UNIT_NAME);
  }

  async stop(): Promise<void> {
    await this.#run("disable", "--now", UNIT_NAME);
  }

  async forget(): Promise<void> {
    await this.#run("daemon-reload");
  }

  /** undefined when there is no such unit. */
  async state(): Promise<UnitState | undefined> {
    const properties = ["LoadState", "ActiveState", "UnitFileState", "MainPID", "NRestarts", "ExecMainStatus"];
    const text = await this.#run("show", UNIT_NAME, ...properties.map((name) => `--property=${name}`));
    const values = new Map(text.split("\n").map((line) => line.split("=", 2) as [string, string]));
    if (values.get("LoadState") !== "loaded") return undefined;
    const number = (name: string): number => Number(values.get(name)) || 0;
    return {
      active: values.get("ActiveState") ?? "unknown",
      enabled: values.get("UnitFileState") ?? "unknown",
      pid: number("MainPID") || null,
      restarts: number("NRestarts"),
      exitCode: number("ExecMainStatus"),
    };
  }

  #run(...words: string[]): Promise<string> {
    const all = [...(this.#scope === "user" ? ["--user"] : []), "--no-pager", ...words];
    return new Promise((resolve, reject) => {
      const fail = (problem: string): void =>
        reject(new CommandError("system", `systemctl ${all.join(" ")}: ${problem}`, 1));
      const child = spawn("systemctl", all, {
        env: this.#variables as NodeJS.ProcessEnv,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const said = { out: "", err: "" };
      child.stdout.on("data", (chunk: Buffer) => (said.out += String(chunk)));
      child.stderr.on("data", (chunk: Buffer) => (said.err += String(chunk)));
      child.on("error", ({ message }) => fail(`${message}; is systemd what starts services here?`));
      child.on("close", (code) => {
        if (code === 0) resolve(said.out);
        else
          fail(
            `${said.err.trim().replaceAll(/\s*\n\s*/g, " | ") || `ended with ${code}`}; it may need root, or "--user"`,
          );
      });
    });
  }
}
