import { FrameSlab, type Gate, type ServerConfig, StreamServer, sourceOf, WaitingRoom } from "@usmp/protocol";
import {
  type BindUdpOptions,
  type ListenTcpOptions,
  listenTcp,
  type StreamListener,
  type StreamTransport,
} from "@usmp/transport";
import { Alarm } from "./alarm.ts";
import type { Peer } from "./api.ts";
import type { Clock } from "./clock.ts";
import { StreamLink } from "./links.ts";
import { type Reception, ServerAttempt } from "./server-attempt.ts";
import { StreamDriver } from "./stream-driver.ts";
import type { Turnstile } from "./turnstile.ts";
import type { Shard } from "./workers/shard.ts";

/** What a server's acceptors share. */
export interface AcceptorOptions {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly gate: Gate;
  readonly reception: Reception;
  readonly onError: (error: Error) => void;
  /** What handshakes may take of each turn, all acceptors together. */
  readonly turnstile: Turnstile;
  /** When this is one of several processes behind one port. */
  readonly shard?: Shard | undefined;
}

/** Where an acceptor listens, and on which of several sockets; see ListenTcpOptions and BindUdpOptions. */
export type AcceptorSocket = ListenTcpOptions & BindUdpOptions;

/** Accepts TCP connections and shakes hands on them. */
export class TcpAcceptor {
  readonly #options: AcceptorOptions;
  readonly #slab: FrameSlab = new FrameSlab();
  /** Every open transport, ended sessions' too, until they are gone. */
  readonly #drivers: Set<StreamDriver> = new Set();
  readonly #handshakes: WaitingRoom<StreamDriver>;
  /** Failed handshakes whose last bytes are still leaving, oldest first. */
  readonly #leaving: Set<StreamDriver> = new Set();
  readonly #alarm: Alarm;
  #listener: StreamListener | undefined;
  #onEmpty: (() => void) | undefined;

  private constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#handshakes = new WaitingRoom(options.gate.limits);
    this.#alarm = new Alarm(options.clock, { onAlarm: () => this.#sweep() });
  }

  static async open(options: AcceptorOptions, socket: AcceptorSocket): Promise<TcpAcceptor> {
    const acceptor = new TcpAcceptor(options);
    const onConnection = (transport: StreamTransport): void => acceptor.#accept(transport);
    acceptor.#listener = await listenTcp(socket, onConnection, options.onError);
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
    for (const driver of [...this.#handshakes.items()]) driver.run((connection) => connection.abort());
  }

  /** Resolves when the last transport is gone. */
  async drained(): Promise<void> {
    if (this.#drivers.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    this.#alarm.clear();
  }

  #accept(transport: StreamTransport): void {
    const { config, clock, gate, reception, turnstile } = this.#options;
    const source = sourceOf(transport.peer.host);
    const connection = new StreamServer(config, { slab: this.#slab }, clock.now(), {
      admit: (deviceId, now) => {
        attempt.noteClaimed(deviceId);
        if (!gate.admit(deviceId, source, now)) return false;
        this.#handshakes.identify(driver, gate.provenPair(deviceId, source, now), now);
        return true;
      },
    });
    const driver: StreamDriver = new StreamDriver(connection, transport, clock, () => this.#release(driver));
    const attempt = new ServerAttempt(reception, new StreamLink(driver, transport.peer), {
      provideKeys: (candidates) => driver.run((_, now) => connection.provideKeys(candidates, now)),
      handTo: (session) => {
        this.#handshakes.leave(driver);
        driver.turnstile = undefined;
        driver.owner = session;
      },
      onFailed: () => this.#onFailed(driver),
    });
    driver.owner = attempt;
    driver.turnstile = turnstile;
    this.#drivers.add(driver);
    const displaced = this.#handshakes.enter(driver, source, clock.now());
    displaced?.run((gone) => gone.abort({ code: "evicted" }));
    driver.start();
    this.#alarm.set(this.#handshakes.timeout);
  }

  #sweep(): void {
    for (const driver of this.#handshakes.takeOverdue(this.#options.clock.now())) {
      driver.run((connection) => connection.abort({ code: "evicted" }));
    }
    this.#alarm.set(this.#handshakes.timeout);
  }

  /** A peer that does not end its side keeps a failed connection for a second: with too many of them the oldest has had its time. */
  #onFailed(driver: StreamDriver): void {
    this.#handshakes.leave(driver);
    this.#leaving.add(driver);
    if (this.#leaving.size <= this.#options.gate.limits.handshakes) return;
    const [oldest] = this.#leaving;
    oldest?.destroy();
  }

  #release(driver: StreamDriver): void {
    this.#drivers.delete(driver);
    this.#leaving.delete(driver);
    if (this.#drivers.size === 0) this.#onEmpty?.();
  }
}
