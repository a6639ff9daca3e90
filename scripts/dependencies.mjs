/** What a fresh clone lacks: the packages in the lockfile, and the Python SDK that interop tests run against. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, runNpm } from "./run.mjs";

const PYTHON_SDK = "usmp==1.2.2";
const PYTHON_SDK_FOLDER = join(ROOT, ".cache", "python-sdk");

/** Installs the locked packages when node_modules is missing or older than package-lock.json. */
export async function ensurePackages() {
  const installed = modifiedAt(join(ROOT, "node_modules", ".package-lock.json"));
  if (installed >= modifiedAt(join(ROOT, "package-lock.json"))) return;
  console.error("Installing packages (npm ci) …");
  const install = await runNpm(["ci", "--no-audit", "--no-fund"], { capture: true });
  if (!install.ok) throw new Error(`npm ci failed:\n${install.output}`);
}

/** @param {string} path */
function modifiedAt(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

/**
 * Installs the Python SDK into a virtual environment of its own, once.
 * @returns {Promise<string | undefined>} why it is absent, or undefined when it is there
 */
export async function ensurePythonSdk() {
  if (await hasPythonSdk()) return undefined;
  console.error(`Installing the Python SDK (${PYTHON_SDK}) into .cache/python-sdk …`);
  const created = await createEnvironment();
  if (!created) return "python3 with its venv module is missing";
  const install = await run(virtualPython(), ["-m", "pip", "install", "--quiet", PYTHON_SDK], { capture: true });
  return install.ok ? undefined : `pip could not install ${PYTHON_SDK}: ${install.output.trim().split("\n").at(-1)}`;
}

async function hasPythonSdk() {
  if (!existsSync(virtualPython())) return false;
  const version = "import importlib.metadata as m; print('usmp==' + m.version('usmp'))";
  const { output } = await run(virtualPython(), ["-c", version], { capture: true });
  return output.trim() === PYTHON_SDK;
}

async function createEnvironment() {
  for (const python of process.platform === "win32" ? ["py", "python"] : ["python3", "python"]) {
    // --clear: an interrupted run may have left half an environment.
    const made = await run(python, ["-m", "venv", "--clear", PYTHON_SDK_FOLDER], { capture: true });
    if (made.ok) return true;
  }
  return false;
}

function virtualPython() {
  return process.platform === "win32"
    ? join(PYTHON_SDK_FOLDER, "Scripts", "python.exe")
    : join(PYTHON_SDK_FOLDER, "bin", "python");
}
