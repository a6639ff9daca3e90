import type { Clock, ListenOptions, Server, Session } from "usmp";
import type { MasterSource } from "../master/sources.ts";
import type { Registry } from "../registry/registry.ts";
import type { WallClock } from "../time/wall-clock.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";

export interface GatewayOptions extends Pick<ListenOptions, "tcp" | "udp" | "limits"> {
  readonly dataDirectory: string;
  /** "postgres://…"; undefined: SQLite in the data directory. */
  readonly database: string | undefined;
  readonly master: MasterSource;
  readonly development: boolean;
  readonly allowWeak: boolean;
  /** Asked when the master is sealed with a passphrase. */
  readonly askPassphrase?: ((what: string) => Promise<Uint8Array>) | undefined;
  readonly estimateTextBits: (text: string) => number | Promise<number>;
  readonly clock?: Clock | undefined;
  readonly wallClock?: WallClock | undefined;
}

/** The running thing: devices' sessions over `listen`, the registry, the control socket. What issue 6 builds on. */
export interface Gateway {
  readonly registry: Registry;
  readonly server: Server;
  /** Sessions whose proof was good and whose device is active, by device id; the newest proven one. */
  session(id: string): GatewaySession | undefined;
  /** Called with each session that is established and with each refused attempt. */
  onSession(listener: (session: GatewaySession) => void): () => void;
  onRefused(listener: (record: RefusalRecord) => void): () => void;
  close(): Promise<void>;
}

export interface GatewaySession {
  readonly session: Session;
  /** The generation that this session proved. */
  readonly generation: number;
}
