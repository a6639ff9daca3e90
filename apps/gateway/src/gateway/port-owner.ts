import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * The process that holds a port, in words such as "node (pid 123)", where /proc tells: Linux, and processes of other users only to root.
 * Undefined elsewhere, and when nobody is found.
 */
export function portOwner(transport: "tcp" | "udp", port: number, proc = "/proc"): string | undefined {
  const inodes = new Set(
    [transport, `${transport}6`].flatMap((table) => socketsOn(`${proc}/net/${table}`, transport, port)),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of list(proc).filter((name) => /^\d+$/.test(name))) {
    const holds = list(`${proc}/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(attempt(() => readlinkSync(`${proc}/${pid}/fd/${fd}`)) ?? "")?.[1];
      return inode !== undefined && inodes.has(inode);
    });
    if (holds)
      return `${attempt(() => readFileSync(`${proc}/${pid}/comm`, "utf8"))?.trim() ?? "a process"} (pid ${pid})`;
  }
  return "a process of another user";
}

/** TCP_LISTEN of the kernel's tcp_states.h; a UDP socket that is bound is TCP_CLOSE there. */
const STATES = { tcp: "0A", udp: "07" } as const;

/** Inodes of the sockets in a table of proc(5) that are bound to the port. */
function socketsOn(table: string, transport: "tcp" | "udp", port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const lines = (attempt(() => readFileSync(table, "utf8")) ?? "").split("\n").slice(1);
  return lines.flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    return local?.endsWith(`:${wanted}`) && state === STATES[transport] && inode !== undefined ? [inode] : [];
  });
}

function list(directory: string): string[] {
  return attempt(() => readdirSync(directory)) ?? [];
}

/** Processes come and go, and most belong to others: what cannot be read does not count. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
