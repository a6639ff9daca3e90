/**
 * `npm run build:native`: compiles packages/native/rust into packages/native/build, where the loader looks. What was once built is kept outside of the
 * clone, by everything that decides it, so that the next clone needs a second.
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT, run } from "./run.mjs";

const CRATE = join(ROOT, "packages", "native", "rust");
const BUILT = join(ROOT, "packages", "native", "build", "usmp-native.node");
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "usmp");
/** Compiled dependencies, shared by all clones: aws-lc takes a minute. */
const TARGET = join(CACHE, "native-target");

const LIBRARY = { win32: "usmp_native.dll", darwin: "libusmp_native.dylib" };

/**
 * @typedef {{ state: "built" } | { state: "no-cargo" } | { state: "failed", output: string }} Outcome
 */

/**
 * Builds the addon, or takes it from the cache.
 * @returns {Promise<Outcome>}
 */
export async function buildNative() {
  const compiler = await run("rustc", ["-vV"], { capture: true });
  const cargo = await run("cargo", ["--version"], { capture: true });
  if (!compiler.ok || !cargo.ok) return { state: "no-cargo" };
  const kept = join(CACHE, "native", `${keyOf(compiler.output)}.node`);
  if (!existsSync(kept)) {
    console.error("Compiling the native addon (cargo build): a minute or two, once …");
    const build = await cargoRun(["build", "--release", "--locked"]);
    if (!build.ok) return { state: "failed", output: build.output };
    place(
      join(TARGET, "release", LIBRARY[/** @type {keyof typeof LIBRARY} */ (process.platform)] ?? "libusmp_native.so"),
      kept,
    );
  }
  place(kept, BUILT);
  return { state: "built" };
}

/** True when the loader will find it. */
export function nativeIsBuilt() {
  return existsSync(BUILT);
}

/** The crate's own tests (its CRC, its handles, the Wycheproof vectors), and, where cargo has them, its form and its lint. */
export async function testNative() {
  const tests = await cargoRun(["test", "--release", "--locked", "--quiet"]);
  const others = [
    ["fmt", "--check"],
    ["clippy", "--release", "--locked", "--all-targets", "--", "-D", "warnings"],
  ];
  for (const args of others) {
    if (!tests.ok || !(await run("cargo", [/** @type {string} */ (args[0]), "--version"], { capture: true })).ok)
      continue;
    const result = await cargoRun(args);
    if (!result.ok) return { ok: false, output: tests.output + result.output };
  }
  return tests;
}

/** @param {readonly string[]} args */
function cargoRun(args) {
  const manifest = ["--manifest-path", join(CRATE, "Cargo.toml")];
  const [command, ...rest] = args;
  return run("cargo", [/** @type {string} */ (command), ...manifest, ...rest], {
    capture: true,
    env: { CARGO_TARGET_DIR: TARGET, CARGO_TERM_COLOR: "never" },
  });
}

/**
 * What decides the machine code: the sources, the pinned crates, the compiler, the platform.
 * @param {string} compiler `rustc -vV`
 */
function keyOf(compiler) {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}\n${compiler}`);
  const sources = readdirSync(join(CRATE, "src"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".rs"),
  );
  for (const name of ["Cargo.toml", "Cargo.lock", "build.rs", ...sources.sort().map((name) => join("src", name))]) {
    hash.update(`\n${name}\n`).update(readFileSync(join(CRATE, name)));
  }
  return hash.digest("hex").slice(0, 32);
}

/**
 * Whole or not at all, and beside a file that a running process has loaded, not over it.
 * @param {string} from
 * @param {string} to
 */
function place(from, to) {
  mkdirSync(join(to, ".."), { recursive: true });
  const partial = `${to}.${process.pid}`;
  copyFileSync(from, partial);
  renameSync(partial, to);
}

if (import.meta.url === pathToFileURL(/** @type {string} */ (process.argv[1])).href) {
  const outcome = await buildNative();
  if (outcome.state === "built") console.log("The native addon is in packages/native/build: usmp uses it from now on.");
  else if (outcome.state === "no-cargo") {
    console.error(
      "Not built: cargo is missing (rustup.rs, or Debian's package cargo; Rust 1.88 or newer). Everything works without, slower.",
    );
  } else console.error(`The native addon was not built:\n${outcome.output}`);
  process.exitCode = outcome.state === "built" ? 0 : 1;
}
