import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Option } from "commander";

/** Where a gateway keeps its data, and where the other commands find it: --data, else USMP_DATA, else the system's place for such data. */
export function dataDirectory(
  given: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): string {
  const named = given ?? variables["USMP_DATA"];
  if (named !== undefined && named !== "") return resolve(named);
  if (process.platform === "win32") return join(variables["LOCALAPPDATA"] ?? homedir(), "usmp");
  // XDG Base Directory Specification 0.8: a relative path there is to be ignored.
  const base = variables["XDG_DATA_HOME"];
  return join(base?.startsWith("/") ? base : join(homedir(), ".local", "share"), "usmp");
}

export const dataOption = (): Option =>
  new Option(
    "--data <dir>",
    "the gateway's data directory (or set USMP_DATA); else usmp in XDG_DATA_HOME or ~/.local/share",
  );
