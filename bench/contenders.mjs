/** Who is measured, and how each one's server and its load are started. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../scripts/run.mjs";
import { Child } from "./child.mjs";
import { Mosquitto } from "./mosquitto.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const PYTHON = fileURLToPath(
  new URL(
    process.platform === "win32" ? "../.cache/python-sdk/Scripts/python.exe" : "../.cache/python-sdk/bin/python",
    import.meta.url,
  ),
);

/**
 * @typedef {"usmp" | "plain" | "tls" | "mosquitto" | "python"} Name
 * @typedef {"tcp" | "udp"} Transport
 * @typedef {object} Contender
 * @property {Name} name
 * @property {string} title
 * @property {Transport} transport
 * @property {() => Child | Mosquitto} startServer the measured process
 * @property {readonly string[]} load command of its clients
 * @property {number} share of the work that it is given: the Python SDK would take the rest of the day
 * @property {boolean} sealed whether it can be given a schedule: its load makes messages before the clock runs
 */

/** @type {readonly Name[]} */
export const NAMES = ["usmp", "plain", "tls", "mosquitto", "python"];

/** The SDK's share of the work. */
const SMALL_SHARE = 0.05;

/** @returns {Promise<Contender[]>} those that are there; the first is ours */
export async function contenders() {
  const node = process.execPath;
  const measured = (/** @type {string} */ name) => () =>
    new Child([node, "--expose-gc", join(FOLDER, "servers", `${name}.mjs`)]);
  const load = (/** @type {string} */ name) => [node, join(FOLDER, "loads", `${name}.mjs`)];
  const common = /** @type {const} */ ({ share: 1, sealed: true, transport: "tcp" });
  /** @type {Contender[]} */
  const found = [
    { ...common, name: "usmp", title: "usmp", startServer: measured("usmp"), load: load("sealed") },
    { ...common, name: "plain", title: "plain sockets", startServer: measured("plain"), load: load("plain") },
    { ...common, name: "tls", title: "TLS 1.3 PSK+X25519", startServer: measured("tls"), load: load("tls") },
  ];
  const udp = /** @type {const} */ ({ share: 1, sealed: false, transport: "udp" });
  found.push(
    { ...udp, name: "usmp", title: "usmp", startServer: measured("usmp"), load: load("usmp") },
    { ...udp, name: "plain", title: "plain sockets", startServer: measured("dgram"), load: load("dgram") },
  );
  const mosquitto = (await run("sh", ["-c", "PATH=$PATH:/usr/sbin command -v mosquitto"], { capture: true })).output;
  if (mosquitto.trim() !== "") {
    const startServer = () => new Mosquitto(mosquitto.trim());
    found.push({ ...common, name: "mosquitto", title: "mosquitto TLS-PSK", startServer, load: load("mqtt") });
  } else
    console.error(
      "mosquitto is left out: it is not installed (npm run test:setup, or the Debian package of that name)",
    );
  const interpreter = process.env.USMP_PYTHON || PYTHON;
  if (existsSync(interpreter)) {
    const startServer = () => new Child([interpreter, join(FOLDER, "servers", "python.py")]);
    for (const transport of /** @type {const} */ (["tcp", "udp"])) {
      const shared = { startServer, load: load("usmp"), share: SMALL_SHARE, sealed: false };
      found.push({ name: "python", title: "Python SDK", transport, ...shared });
    }
  }
  return found;
}
