import { statSync } from "node:fs";
import { dirname } from "node:path";

/** Below these a service with ProtectHome sees nothing. */
const HOMES = ["/home", "/root", "/run/user"];

/** Why a user of the service's own could not run a file; undefined when it could. */
export function whyUnreadable(path: string): string | undefined {
  const home = HOMES.find((directory) => path === directory || path.startsWith(`${directory}/`));
  if (home !== undefined) return `it lies in ${home}, which is closed to the service`;
  if ((statSync(path).mode & 0o004) === 0) return "others may not read it";
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    if ((statSync(directory).mode & 0o001) === 0) return `others may not enter ${directory}`;
    if (directory === dirname(directory)) return undefined;
  }
}
