import { existsSync } from "node:fs";
import { join } from "node:path";
import { GatewayError } from "../errors.ts";
import { parseMaster } from "../master/open-master.ts";
import { readSecretFile } from "../master/secret-file.ts";
import { diskExposure } from "../master/sources.ts";
import { type Check, notChecked, ok, problem, warning } from "./check.ts";

/** Where the master secret is, and (last of all, because it keeps nobody out) what a stolen disk gives away. */
export const master: Check = {
  name: "master",
  async run({ dataDirectory, status }) {
    if (status !== undefined) {
      if (status.masterExposure === null) return [ok("master", `the master secret comes from ${status.masterSource}`)];
      const better = diskExposure({ kind: "file", path: "" }, "this-host")?.better ?? "";
      return [warning("disk", status.masterExposure, better)];
    }
    const path = join(dataDirectory, "master");
    if (!existsSync(path)) {
      if (!existsSync(join(dataDirectory, "usmp.db"))) {
        return [notChecked("master", "there is no master secret yet; the first start makes it")];
      }
      return [
        problem(
          "master",
          `the master secret ${path} is missing: without it no key of a device can be made (unless the gateway is started with --master-…)`,
          `bring ${path} back from where it is kept; or restore a backup into another directory:`,
          "usmp restore FILE --data ANOTHER-DIR",
        ),
      ];
    }
    try {
      const digits = await readSecretFile(path, "the master secret");
      if (digits === undefined) return [notChecked("master", `${path} is gone`)];
      try {
        if (isSealed(digits)) return [ok("master", `the master secret ${path} is sealed with a passphrase`)];
        parseMaster(digits, `file ${path}`).wipe();
      } finally {
        digits.fill(0);
      }
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      // Its mode is told by the check of files, with the command that mends it.
      if (error.code === "master-exposed") return [notChecked("master", `not read: ${error.message}`)];
      return [
        problem(
          "master",
          error.message,
          `bring ${path} back from where it is kept; or restore a backup into another directory:`,
          "usmp restore FILE --data ANOTHER-DIR",
        ),
      ];
    }
    const exposure = diskExposure({ kind: "file", path }, "this-host");
    return exposure === undefined ? [] : [warning("disk", exposure.problem, exposure.better)];
  },
};

/** A sealed file is JSON; a plain one is hex digits. */
function isSealed(content: Uint8Array): boolean {
  return content[0] === 0x7b;
}
