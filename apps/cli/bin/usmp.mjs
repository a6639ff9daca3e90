#!/usr/bin/env node
// First statement, before any import: a key may stand in the arguments, and every user of the machine can list those.
// Setting the title overwrites all of them in place on Linux and macOS (libuv uv_set_process_title); process.argv is a
// copy and stays. Only a known command word is kept, so that a misplaced key cannot become the title.
process.title =
  `usmp ${process.argv.find((word) => /^(audit|backup|clock|connect|device|doctor|factory-derive|factory-key|gateway|inspect|keygen|logs|master|monitor|restore|send|serve|service|token|why)$/.test(word)) ?? ""}`.trimEnd();

const { spawnSync } = await import("node:child_process");
const { existsSync } = await import("node:fs");
const { createRequire } = await import("node:module");
const { fileURLToPath } = await import("node:url");

const main = new URL("../dist/main.js", import.meta.url);
if (existsSync(main) || build()) {
  endWithNpm();
  await import(main.href);
} else {
  console.error("usmp: not built (apps/cli/dist/main.js is missing). In the clone, run: npm ci && npm run build");
  process.exitCode = 1;
}

/** Compiles this app and the packages that it uses, in a clone with its dependencies installed. */
function build() {
  const project = fileURLToPath(new URL("..", import.meta.url));
  let compiler;
  try {
    compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  } catch {
    return false; // installed without development dependencies
  }
  // What the compiler says goes to stderr: stdout belongs to the command (keygen prints a key and nothing else).
  spawnSync(process.execPath, [compiler, "-b", project], { stdio: ["ignore", 2, 2] });
  return existsSync(main);
}

/**
 * Under `npx` and `npm start` a SIGTERM ends only the shell that npm put between itself and this process, and a server
 * would run on unseen. The shell's end is passed on as the signal that it kept.
 */
function endWithNpm() {
  if (!["npx", "start"].includes(process.env.npm_lifecycle_event ?? "") || process.platform === "win32") return;
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 200);
  watch.unref();
}
