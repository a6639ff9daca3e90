/** What tests need from the operating system beyond Node and npm. */
import { run } from "./run.mjs";

/**
 * @typedef {object} SystemPart
 * @property {string} name
 * @property {string} debianPackage
 * @property {string} neededFor
 * @property {readonly [file: string, ...args: string[]]} probe ends with code 0 when the part is there
 */

/** @type {readonly SystemPart[]} */
const PARTS = [
  {
    name: "python3 venv",
    debianPackage: "python3-venv",
    neededFor: "interop with the Python SDK",
    probe: ["python3", "-c", "import venv, ensurepip"],
  },
  { name: "tmux", debianPackage: "tmux", neededFor: "the terminal tests of usmp connect", probe: ["tmux", "-V"] },
  {
    name: "gcore",
    debianPackage: "gdb",
    neededFor: "the search for keys in a core dump",
    probe: ["gdb", "--batch", "--version"],
  },
  { name: "spin", debianPackage: "spin", neededFor: "the session model", probe: ["spin", "-V"] },
  { name: "gcc", debianPackage: "gcc libc6-dev", neededFor: "the session model", probe: ["gcc", "--version"] },
  {
    name: "PostgreSQL",
    debianPackage: "postgresql",
    neededFor: "the gateway's tests on PostgreSQL",
    probe: ["sh", "-c", "ls /usr/lib/postgresql/*/bin/initdb"],
  },
  {
    name: "mosquitto",
    debianPackage: "mosquitto",
    neededFor: "the bench beside a broker",
    probe: ["sh", "-c", "PATH=$PATH:/usr/sbin command -v mosquitto"],
  },
  { name: "strace", debianPackage: "strace", neededFor: "the crash tests", probe: ["strace", "-V"] },
  {
    name: "systemd-analyze",
    debianPackage: "systemd",
    neededFor: "the check of the unit that usmp service writes",
    probe: ["systemd-analyze", "--version"],
  },
  { name: "age", debianPackage: "age", neededFor: "the second opinion on backups", probe: ["age", "--version"] },
  {
    name: "promtool",
    debianPackage: "prometheus",
    neededFor: "the second opinion on the metrics",
    probe: ["promtool", "--version"],
  },
  {
    name: "openssl",
    debianPackage: "openssl",
    neededFor: "the second opinion on cryptography",
    probe: ["openssl", "version"],
  },
  {
    name: "Chromium",
    debianPackage: "chromium",
    neededFor: "pages of foreign and allowed origins before the HTTP API",
    probe: ["chromium", "--version"],
  },
  { name: "curl", debianPackage: "curl", neededFor: "the examples of docs/api.md", probe: ["curl", "--version"] },
];

/** The parts that this machine lacks. */
export async function missingParts() {
  const checked = await Promise.all(
    PARTS.map(async (part) => {
      const [file, ...args] = part.probe;
      return { part, present: (await run(file, args, { capture: true })).ok };
    }),
  );
  return checked.filter(({ present }) => !present).map(({ part }) => part);
}
