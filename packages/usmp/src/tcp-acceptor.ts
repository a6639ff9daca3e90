import { FrameSlab, type ServerConfig, StreamServer } from "@usmp/protocol";
import { listenTcp, type StreamListener, type StreamTransport } from "@usmp/transport";
import type { Peer } from "./api.ts";
import type { Clock } from "./clock.ts";
import { StreamLink } from "./links.ts";
import { type Reception, ServerAttempt } from "./server-attempt.ts";
import { StreamDriver } from "./stream-driver.ts";

/** What a server's acceptors share. */
export interface AcceptorOptions {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly reception: Reception & {
    /** True while no more sessions fit. */
    readonly full: boolean;
    noteDropped(cause: string): void;
  };
  readonly maxHandshakes: number;
  readonly onError: (error: Error) => void;
}

/** Accepts TCP connections and shakes hands on them. */
export class TcpAcceptor {
  readonly #options: AcceptorOptions;
  readonly #slab: FrameSlab = new FrameSlab();
  /** Every open transport, ended sessions' too, until they are gone. */
  readonly #drivers: Set<StreamDriver> = new Set();
  /** Those whose handshake is under way, in the order in which they came. */
  readonly #handshakes: Set<StreamDriver> = new Set();
  #listener: StreamListener | undefined;
  #onEmpty: (() => void) | undefined;

  private constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  static async open(options: AcceptorOptions, host: string | undefined, port: number): Promise<TcpAcceptor> {
    const acceptor = new TcpAcceptor(options);
    const onConnection = (transport: StreamTransport): void => acceptor.#accept(transport);
    acceptor.#listener = await listenTcp({ host, port }, onConnection, options.onError);
    return acceptor;
  }

  get address(): Peer {
    const { host, port } = (this.#listener as StreamListener).address;
    return { transport: "tcp", host, port };
  }

  get handshakeCount(): number {
    return this.#handshakes.size;
  }

  /** Accepts no more, and ends every handshake; sessions are their owner's to close. */
  stopAccepting(): void {
    void this.#listener?.close();
    for (const driver of this.#handshakes) driver.run((connection) => connection.abort());
  }

  /** Resolves when the last transport is gone. */
  drained(): Promise<void> {
    if (this.#drivers.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #accept(transport: StreamTransport): void {
    const { config, clock, reception, maxHandshakes } = this.#options;
    if (reception.full) {
      reception.noteDropped("server-full");
      transport.destroy();
      return;
    }
    if (this.#handshakes.size >= maxHandshakes) this.#evictOldest();
    const connection = new StreamServer(config, { slab: this.#slab }, clock.now());
    const driver = new StreamDriver(connection, transport, clock, () => this.#release(driver));
    driver.owner = new ServerAttempt(
      reception,
      new StreamLink(driver, transport.peer),
      (candidates) => driver.run((_, now) => connection.provideKeys(candidates, now)),
      (session) => {
        this.#handshakes.delete(driver);
        driver.owner = session;
      },
    );
    this.#drivers.add(driver);
    this.#handshakes.add(driver);
    driver.start();
  }

  #evictOldest(): void {
    const [oldest] = this.#handshakes;
    if (oldest === undefined) return;
    this.#handshakes.delete(oldest);
    oldest.run((connection) => connection.abort({ code: "evicted" }));
  }

  #release(driver: StreamDriver): void {
    this.#drivers.delete(driver);
    this.#handshakes.delete(driver);
    if (this.#drivers.size === 0) this.#onEmpty?.();
  }
}
