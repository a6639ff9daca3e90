import { MessageQueue } from "./message-queue.ts";
import { type PythonEvent, PythonProcess } from "./python-process.ts";
import { PythonSession } from "./python-session.ts";

export type PythonProtocol = "tcp" | "udp";

export interface PythonConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly psk: Uint8Array;
  readonly protocol: PythonProtocol;
  /** Six bytes; default: random. */
  readonly deviceId?: Uint8Array | undefined;
  /** The whole handshake's. Default 10,000. */
  readonly timeoutMs?: number | undefined;
}

/** One key for all devices, a table of hex device ids (the id "" stands for all others), or a function of the hex device id. */
export type PythonPsk =
  | Uint8Array
  | Readonly<Record<string, Uint8Array>>
  | ((deviceId: string) => Uint8Array | undefined | Promise<Uint8Array | undefined>);

export interface PythonServeOptions {
  readonly psk: PythonPsk;
  readonly protocol: PythonProtocol;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default 0, a free one. */
  readonly port?: number | undefined;
  /** Sends each message back. Default false. */
  readonly echo?: boolean | undefined;
  /** The SDK ends a session that heard nothing for so long. Default 60,000. */
  readonly sessionTimeoutMs?: number | undefined;
  /** The SDK's caps per address (5 connections, 5 cookies a second), which tests on one host run into. Default false: lifted. */
  readonly limits?: boolean | undefined;
}

export interface PythonCrowdOptions {
  readonly host: string;
  readonly port: number;
  readonly psk: Uint8Array;
  readonly clients: number;
  /** Each sends so many, one after the other: "CLIENT NUMBER" in ASCII. */
  readonly messages: number;
  /** The whole handshake's. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Between the starts of two clients. */
  readonly gapMs: number;
}

/** What became of one of a crowd's clients. */
export interface PythonCrowdMember {
  /** Its number, in 12 hex digits. */
  readonly deviceId: string;
  /** How long it took to connect; null when it failed. */
  readonly connectMs: number | null;
  /** Messages whose send() came back, which the SDK does when it has seen the UTACKs; they are the first ones. */
  readonly acknowledged: number;
  /** What ended it early. */
  readonly error: { readonly type: string; readonly message: string } | null;
}

/** What clients and servers share: the process, its sessions, the SDK's log. */
class PythonPeer {
  /** Warnings and errors of the SDK's log, which alone says why it refused a handshake. */
  readonly log: string[] = [];
  protected readonly sessions: Map<number, PythonSession> = new Map();
  readonly #logged = new MessageQueue<string>();
  #process: PythonProcess | undefined;

  protected async start(): Promise<void> {
    this.#process = await PythonProcess.start((event) => this.handleEvent(event));
  }

  /** The next line of the SDK's log. */
  nextLogLine(timeoutMs = 10_000): Promise<string> {
    return this.#logged.take("line in the Python SDK's log", timeoutMs);
  }

  /** Ends the SDK's lockout of this host, which five failed handshakes cause. */
  async forgive(): Promise<void> {
    await this.process.request("forgive", {});
  }

  /** Ends the process and with it all sessions, without BYE. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
  }

  protected get process(): PythonProcess {
    if (this.#process === undefined) throw new Error("the Python peer was not started");
    return this.#process;
  }

  protected handleEvent(event: PythonEvent): void {
    if (event.event === "log") {
      const line = event["message"] as string;
      this.log.push(line);
      this.#logged.push(line);
    } else if (event.event === "session") {
      const session = new PythonSession(this.process, event);
      this.sessions.set(event["session"] as number, session);
    } else if (event.event === "exited") {
      const error = { type: "ProcessExited", message: event["message"] as string };
      for (const session of this.sessions.values()) session.handleEvent({ event: "closed", error });
    } else {
      this.sessions.get(event["session"] as number)?.handleEvent(event);
    }
  }
}

/** Clients of the Python SDK; one process may have many sessions. */
export class PythonClient extends PythonPeer {
  private constructor() {
    super();
  }

  static async start(): Promise<PythonClient> {
    const client = new PythonClient();
    await client.start();
    return client;
  }

  /** Rejects with the SDK's error: "AuthError", "HandshakeError", "USMPTimeoutError", "ConnectionRefusedError". */
  async connect(options: PythonConnectOptions): Promise<PythonSession> {
    const { host, port, psk, protocol, deviceId, timeoutMs = 10_000 } = options;
    const parameters = { host, port, protocol, psk: hex(psk), timeout: timeoutMs / 1000 };
    const device = deviceId === undefined ? {} : { device_id: hex(deviceId) };
    const answer = await this.process.request("connect", { ...parameters, ...device }, timeoutMs + 10_000);
    return this.sessions.get(answer["session"] as number) as PythonSession;
  }

  /** Lets many UDP clients connect and send, as many as one Python process carries; resolves when all are through. */
  async crowd(options: PythonCrowdOptions): Promise<PythonCrowdMember[]> {
    const { host, port, psk, clients, messages, timeoutMs = 10_000, gapMs } = options;
    const times = { timeout: timeoutMs / 1000, gap: gapMs / 1000 };
    const parameters = { host, port, psk: hex(psk), count: clients, messages, ...times };
    // A send gives up after 12.5 s.
    const limitMs = clients * gapMs + timeoutMs + messages * 12_500;
    const answer = await this.process.request("crowd", parameters, limitMs);
    return answer["clients"] as PythonCrowdMember[];
  }
}

/** A server of the Python SDK, in a process of its own. */
export class PythonServer extends PythonPeer {
  readonly #psk: PythonPsk;
  readonly #accepted = new MessageQueue<PythonSession>();
  #address: { readonly host: string; readonly port: number } = { host: "", port: 0 };
  #number = 0;

  private constructor(psk: PythonPsk) {
    super();
    this.#psk = psk;
  }

  static async start(options: PythonServeOptions): Promise<PythonServer> {
    const server = new PythonServer(options.psk);
    await server.start();
    try {
      await server.#serve(options);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#address;
  }

  /** The next session that the server established. */
  accept(timeoutMs = 10_000): Promise<PythonSession> {
    return this.#accepted.take("session at the Python server", timeoutMs);
  }

  /** Stops as the SDK does: all its sessions are closed, without BYE. */
  async stop(): Promise<void> {
    await this.process.request("stop_server", { server: this.#number });
  }

  protected override handleEvent(event: PythonEvent): void {
    super.handleEvent(event);
    if (event.event === "session") this.#accepted.push(this.sessions.get(event["session"] as number) as PythonSession);
    if (event.event === "psk") void this.#answerPsk(event["request"] as number, event["deviceId"] as string);
  }

  async #serve(options: PythonServeOptions): Promise<void> {
    const answer = await this.process.request("serve", {
      host: options.host ?? "127.0.0.1",
      port: options.port ?? 0,
      protocol: options.protocol,
      psk: describePsk(options.psk),
      echo: options.echo ?? false,
      session_timeout: (options.sessionTimeoutMs ?? 60_000) / 1000,
      limits: options.limits ?? false,
    });
    this.#address = { host: answer["host"] as string, port: answer["port"] as number };
    this.#number = answer["server"] as number;
  }

  /** A function that fails gives no key; the process may have ended meanwhile. */
  async #answerPsk(request: number, deviceId: string): Promise<void> {
    const lookup = this.#psk as (deviceId: string) => Uint8Array | undefined | Promise<Uint8Array | undefined>;
    const psk = await Promise.resolve(deviceId)
      .then(lookup)
      .catch(() => undefined);
    await this.process.request("answer_psk", { request, psk: psk === undefined ? null : hex(psk) }).catch(() => {});
  }
}

function describePsk(psk: PythonPsk): object {
  if (typeof psk === "function") return { function: true };
  if (psk instanceof Uint8Array) return { key: hex(psk) };
  return { table: Object.fromEntries(Object.entries(psk).map(([device, key]) => [device, hex(key)])) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
