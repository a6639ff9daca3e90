/** Who is measured, and how each one's server and its load are started. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const PYTHON = fileURLToPath(
  new URL(
    process.platform === "win32" ? "../.cache/python-sdk/Scripts/python.exe" : "../.cache/python-sdk/bin/python",
    import.meta.url,
  ),
);

/**
 * @typedef {"usmp" | "tls" | "python"} Name
 * @typedef {object} Contender
 * @property {Name} name
 * @property {string} title
 * @property {readonly string[]} server command of the measured process
 * @property {readonly string[]} load command of its clients
 * @property {number} share of the work that it is given: the Python SDK would take the rest of the day
 */

/** @returns {Contender[]} */
export function contenders() {
  const node = process.execPath;
  const usmpLoad = [node, join(FOLDER, "loads", "usmp.mjs")];
  /** @type {Contender[]} */
  const found = [
    {
      name: "usmp",
      title: "usmp (this, node:crypto)",
      server: [node, "--expose-gc", join(FOLDER, "servers", "usmp.mjs")],
      load: [node, join(FOLDER, "loads", "sealed.mjs")],
      share: 1,
    },
    {
      name: "tls",
      title: "node:tls 1.3 PSK+X25519",
      server: [node, "--expose-gc", join(FOLDER, "servers", "tls.mjs")],
      load: [node, join(FOLDER, "loads", "tls.mjs")],
      share: 1,
    },
  ];
  const interpreter = process.env.USMP_PYTHON || PYTHON;
  if (existsSync(interpreter)) {
    const server = [interpreter, join(FOLDER, "servers", "python.py")];
    found.push({ name: "python", title: "Python SDK", server, load: usmpLoad, share: 0.2 });
  }
  return found;
}
