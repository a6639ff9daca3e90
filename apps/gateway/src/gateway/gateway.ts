import type { Clock, ListenOptions, Server, Session } from "usmp";
import type { HealthView } from "../control/methods.ts";
import type { GatewayEvents } from "../events/gateway-events.ts";
import type { HttpAddress } from "../http/http-server.ts";
import type { HttpSettings } from "../http/http-settings.ts";
import type { DiskExposure, MasterSource, MasterSurroundings } from "../master/sources.ts";
import type { MessageSettings } from "../messages/messages.ts";
import type { Registry } from "../registry/registry.ts";
import type { SinkSettings } from "../sinks/sink.ts";
import type { WallClock } from "../time/wall-clock.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";

export interface GatewayOptions extends Pick<ListenOptions, "tcp" | "udp" | "limits" | "crypto"> {
  /** Of mode 0700; made when missing. */
  readonly dataDirectory: string;
  /** "postgres://…"; undefined: SQLite in the data directory. */
  readonly database: string | undefined;
  readonly master: MasterSource;
  readonly surroundings: MasterSurroundings;
  /** Lets the published development key be a device's key. */
  readonly development: boolean;
  /** Judges keys that are brought along. */
  readonly estimateTextBits: (text: string) => number | Promise<number>;
  /** The program's, for `gateway.status`. */
  readonly version: string;
  /** What is left out has its default. */
  readonly messages?: Partial<MessageSettings> | undefined;
  /** undefined: no HTTP. */
  readonly http?: HttpSettings | undefined;
  readonly sinks?: readonly SinkSettings[] | undefined;
  /** A file that gets a copy of the audit, line by line. */
  readonly securityLog?: string | undefined;
  /** So many processes share the ports; the registry stays in this one. 1, the default: none but this one. See docs/workers.md. */
  readonly workers?: number | undefined;
  /** With `workers`: hears of a worker process that has begun or ended. */
  readonly onWorker?: ListenOptions["onWorker"];
  readonly clock?: Clock | undefined;
  readonly wallClock?: WallClock | undefined;
}

/** The running thing: devices' sessions over `listen`, the registry, the control socket. What issue 6 builds on. */
export interface Gateway {
  readonly registry: Registry;
  readonly server: Server;
  /** The first run. */
  readonly created: boolean;
  readonly masterExposure: DiskExposure;
  readonly events: GatewayEvents;
  /** Where the HTTP API is, if it is. */
  readonly httpAddress: HttpAddress | undefined;
  /** The token of the first admin, once, on the first start with HTTP: for the owner's eyes, never for a log. */
  takeFirstToken(): string | undefined;
  /** The newest session of a device that is active. */
  session(id: string): GatewaySession | undefined;
  /** Called with each session that is established. The gateway reads it: its messages are told as `events`. */
  onSession(listener: (session: GatewaySession) => void): () => void;
  /** Called with each refused attempt, as the record that it is counted in. */
  onRefused(listener: (record: RefusalRecord) => void): () => void;
  /** What happens at it and within it, as Prometheus' text. */
  metricsText(): Promise<string>;
  /** Whether devices can connect and be heard, and what keeps them from it. */
  health(): Promise<HealthView>;
  /** Says BYE to every session and ends; bounded as Server.close() is. */
  close(): Promise<void>;
}

export interface GatewaySession {
  readonly session: Session;
  /** The generation that this session proved. */
  readonly generation: number;
}
