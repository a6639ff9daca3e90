import { createHash } from "node:crypto";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";

/** The longest path that sun_path takes on Linux is 107 bytes, on macOS 103 (unix(7)). */
const LONGEST_PATH = 100;

export interface ControlPaths {
  readonly socket: string;
  /** Made for the socket alone, when the data directory's own path is too long for one. */
  readonly socketDirectory: string | undefined;
  /** Of mode 0600: who can read it is the owner. */
  readonly token: string;
}

export function controlPaths(dataDirectory: string): ControlPaths {
  const directory = resolve(dataDirectory);
  const token = join(directory, "control.token");
  const name = createHash("sha256").update(directory).digest("hex").slice(0, 16);
  if (process.platform === "win32") {
    return { socket: `\\\\.\\pipe\\usmp-${name}`, socketDirectory: undefined, token };
  }
  const socket = join(directory, "control.sock");
  if (Buffer.byteLength(socket) <= LONGEST_PATH) return { socket, socketDirectory: undefined, token };
  const socketDirectory = join(tmpdir(), `usmp-${userInfo().uid}-${name}`);
  return { socket: join(socketDirectory, "control.sock"), socketDirectory, token };
}
