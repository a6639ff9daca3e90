/** Child processes for the other scripts: no shell, Node tools by their entry file, so that it works on Windows too. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The clone. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * @typedef {object} RunOptions
 * @property {Record<string, string>} [env] added to this process's environment
 * @property {boolean} [capture] collect what it prints instead of passing it on
 * @property {number} [limitMs] ends it by force after this time
 *
 * @typedef {object} RunResult
 * @property {boolean} ok it ended with code 0
 * @property {number} code its exit code; 1 when a signal ended it or it could not be started
 * @property {boolean} timedOut
 * @property {string} output stdout and stderr, when captured
 */

/**
 * Runs a program in the clone and waits for its end; a program that cannot be started counts as one that failed.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export function run(file, args, { env = {}, capture = false, limitMs } = {}) {
  return new Promise((done) => {
    const child = spawn(file, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: capture ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
      detached: limitMs !== undefined && process.platform !== "win32", // a group of its own, to be ended as a whole
    });
    let output = "";
    let timedOut = false;
    child.stdout?.on("data", (chunk) => (output += chunk));
    child.stderr?.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => finish(1, error.message));
    child.on("close", (code) => finish(code ?? 1, ""));

    const stopWatching = limitMs === undefined ? () => {} : endWithUs(child, limitMs, () => (timedOut = true));
    /** @param {number} code @param {string} extra */
    function finish(code, extra) {
      stopWatching();
      done({ ok: code === 0, code, timedOut, output: output + extra });
    }
  });
}

/**
 * Ends a child and everything that it started when its time is over, or when this process is told to end (its own
 * process group does not hear the terminal's Ctrl-C).
 * @param {import("node:child_process").ChildProcess} child
 * @param {number} limitMs
 * @param {() => void} onTimeout
 * @returns {() => void} ends the watch
 */
function endWithUs(child, limitMs, onTimeout) {
  const timer = setTimeout(() => {
    onTimeout();
    endTree(child);
  }, limitMs);
  const onInterrupt = () => leave(130); // 128 + SIGINT, as a shell reports it
  const onTerminate = () => leave(143); // 128 + SIGTERM
  process.once("SIGINT", onInterrupt).once("SIGTERM", onTerminate);
  return () => {
    clearTimeout(timer);
    process.off("SIGINT", onInterrupt).off("SIGTERM", onTerminate);
  };
  /** @param {number} code */
  function leave(code) {
    endTree(child);
    process.exit(code);
  }
}

/** @param {import("node:child_process").ChildProcess} child */
function endTree({ pid }) {
  if (pid === undefined) return;
  try {
    if (process.platform === "win32") spawnSync("taskkill", ["/pid", String(pid), "/t", "/f"]);
    else process.kill(-pid, "SIGKILL");
  } catch {
    // It ended by itself in the meantime.
  }
}

/**
 * Runs an installed development tool.
 * @param {"biome" | "depcruise" | "knip" | "tsc" | "vitest"} tool
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 */
export function runTool(tool, args, options) {
  return run(process.execPath, [toolPath(tool), ...args], options);
}

const TOOL_PACKAGES = {
  biome: "@biomejs/biome",
  depcruise: "dependency-cruiser",
  knip: "knip",
  tsc: "typescript",
  vitest: "vitest",
};

/** @param {keyof typeof TOOL_PACKAGES} tool */
export function toolPath(tool) {
  const folder = join(ROOT, "node_modules", TOOL_PACKAGES[tool]);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof manifest.bin === "string" ? manifest.bin : manifest.bin[tool]);
}

/**
 * Runs npm: the one that started this script, else the one that came with this Node.
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 */
export function runNpm(args, options) {
  const bundled = resolve(dirname(process.execPath), "../lib/node_modules/npm/bin/npm-cli.js");
  const cli = process.env.npm_execpath ?? bundled;
  return existsSync(cli) ? run(process.execPath, [cli, ...args], options) : run("npm", args, options);
}
