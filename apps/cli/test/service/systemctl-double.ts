import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * A systemctl of the test's own, found by PATH: it writes down what it was asked, and answers as systemd 252 does. No unit is ever
 * started. systemd itself does not run where tests run.
 */
export class SystemctlDouble {
  readonly variables: Readonly<Record<string, string>>;
  readonly unit: string;
  readonly #log: string;
  readonly #answers: string;

  constructor(folder: string, data: string) {
    const bin = join(folder, "bin");
    this.#log = join(folder, "asked");
    this.#answers = join(folder, "answers");
    const configuration = join(folder, "config");
    this.unit = join(configuration, "systemd", "user", "usmp-gateway.service");
    mkdirSync(bin, { recursive: true });
    const script = join(bin, "systemctl");
    writeFileSync(
      script,
      `#!/bin/sh\nprintf '%s\\n' "$*" >> "${this.#log}"\ncase "$*" in\n*" show "*) if [ -f "${this.unit}" ]; then cat "${this.#answers}"; else echo LoadState=not-found; fi;;\n*" restart "*) . "${this.#answers}.exit";;\nesac\n`,
    );
    chmodSync(script, 0o755);
    this.answer("active", 0);
    this.variables = {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      XDG_CONFIG_HOME: configuration,
      USMP_DATA: data,
    };
  }

  /** What "show" says from now on, and how "restart" ends. */
  answer(active: string, exitCode: number): void {
    writeFileSync(
      this.#answers,
      `LoadState=loaded\nActiveState=${active}\nUnitFileState=enabled\nMainPID=${active === "active" ? process.pid : 0}\nNRestarts=1\nExecMainStatus=${exitCode}\n`,
    );
    writeFileSync(`${this.#answers}.exit`, exitCode === 0 ? "exit 0\n" : `echo "Job failed." >&2\nexit ${exitCode}\n`);
  }

  get asked(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, "utf8").trimEnd().split("\n") : [];
  }
}
