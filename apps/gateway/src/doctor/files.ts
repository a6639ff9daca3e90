import { type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { type Check, type DoctorContext, type Finding, notChecked, ok, problem } from "./check.ts";

/** Files of the data directory that hold keys or messages, or let one in. */
const PRIVATE = [
  "master",
  "usmp.db",
  "usmp.db-wal",
  "usmp.db-shm",
  "messages.db",
  "messages.db-wal",
  "messages.db-shm",
  "audit.head",
  "control.token",
  "admin.token",
  "psk",
] as const;

/** Modes and owners of what holds keys. */
export const files: Check = {
  name: "files",
  async run(context) {
    const { dataDirectory, system } = context;
    if (system.platform === "win32") return [notChecked("files", "modes of files are not checked on Windows")];
    const directory = stat(dataDirectory);
    if (directory === undefined) {
      return [notChecked("files", `there is no data directory ${dataDirectory} yet; the first start makes it`)];
    }
    const found = [
      ...judge(context, dataDirectory, directory, "700"),
      ...PRIVATE.flatMap((name) => {
        const file = join(dataDirectory, name);
        const stats = stat(file);
        return stats === undefined ? [] : judge(context, file, stats, "600");
      }),
    ];
    return found.length > 0 ? found : [ok("files", `only its owner can read ${dataDirectory}`)];
  },
};

function judge({ system }: DoctorContext, path: string, { mode, uid }: Stats, right: "600" | "700"): Finding[] {
  const found: Finding[] = [];
  if ((mode & 0o077) !== 0) {
    const now = (mode & 0o777).toString(8).padStart(3, "0");
    found.push(
      problem("files", `others can read or change ${path} (mode ${now})`, `chmod ${right} ${shellWord(path)}`),
    );
  }
  if (system.uid !== undefined && system.uid !== 0 && uid !== system.uid) {
    found.push(
      problem(
        "files",
        `${path} belongs to another user (uid ${uid}), and you are uid ${system.uid}: the gateway of another user is examined by that user`,
        `sudo -u '#${uid}' usmp doctor`,
      ),
    );
  }
  return found;
}

/** A word that a POSIX shell takes as it is. */
export function shellWord(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function stat(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}
