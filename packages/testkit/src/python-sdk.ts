import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The release of the public SDK that interop is held to. */
export const PYTHON_SDK_VERSION = "1.2.2";

export interface PythonSdk {
  readonly available: boolean;
  /** Why it is not, and what to do; or where it is. */
  readonly reason: string;
  /** The interpreter that imports it; undefined when it is not available. */
  readonly interpreter: string | undefined;
}

const INTERPRETER: string = process.platform === "win32" ? join("Scripts", "python.exe") : join("bin", "python");
const VIRTUAL_ENVIRONMENT = join(".cache", "python-sdk");

let found: PythonSdk | undefined;

/**
 * Finds the Python SDK: USMP_PYTHON, or the virtual environment that `npm test` makes at the repository's root. Where it is absent
 * tests skip, and one line on standard error says why; under CI=true it throws, so that no green run lacks interop unnoticed.
 */
export function pythonSdk(): PythonSdk {
  if (found !== undefined) return found;
  const sdk = look(process.env["USMP_PYTHON"]);
  if (!sdk.available && process.env["CI"] === "true") throw new Error(sdk.reason);
  if (!sdk.available) process.stderr.write(`skipped: ${sdk.reason}\n`);
  found = sdk;
  return sdk;
}

/** Looks anew, without the memory and the consequences of pythonSdk(). */
export function look(override: string | undefined): PythonSdk {
  const interpreter = override || fromRepository();
  if (interpreter === undefined) {
    return absent(`no ${VIRTUAL_ENVIRONMENT} in this folder or above it`);
  }
  const probe = spawnSync(interpreter, ["-c", "import usmp; print(usmp.__version__)"], { encoding: "utf8" });
  if (probe.error !== undefined) return absent(`${interpreter} does not run (${probe.error.message})`);
  if (probe.status !== 0) return absent(`${interpreter} has no usmp package`);
  const version = probe.stdout.trim();
  if (version !== PYTHON_SDK_VERSION) return absent(`${interpreter} has usmp ${version}`);
  return { available: true, reason: `usmp ${version} at ${interpreter}`, interpreter };
}

function absent(problem: string): PythonSdk {
  const fix = `python3 -m venv ${VIRTUAL_ENVIRONMENT} && ${join(VIRTUAL_ENVIRONMENT, INTERPRETER)} -m pip install usmp==${PYTHON_SDK_VERSION}`;
  return { available: false, reason: `the Python SDK is missing: ${problem}; run: ${fix}`, interpreter: undefined };
}

function fromRepository(): string | undefined {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      const interpreter = join(folder, VIRTUAL_ENVIRONMENT, INTERPRETER);
      if (existsSync(interpreter)) return interpreter;
      if (dirname(folder) === folder) break;
    }
  }
  return undefined;
}
