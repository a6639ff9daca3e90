import { defaultCrypto } from "@usmp/crypto";
import {
  DatagramEndpoint,
  type DatagramServer,
  FrameSlab,
  Gate,
  type Instant,
  parseLimits,
  parseTiming,
  type ServerConfig,
  StreamServer,
} from "@usmp/protocol";
import {
  type DatagramConditions,
  datagramTransports,
  SeededRandom,
  DatagramLink as SimulatedDatagramLink,
  StreamLink as SimulatedStreamLink,
  streamTransports,
  type VirtualClock,
} from "@usmp/testkit";
import type { ConnectedDatagramTransport, DatagramTransport, StreamTransport } from "@usmp/transport";
import type { Refusal, SessionSettings, TransportName } from "../../src/api.ts";
import { connectBy } from "../../src/client.ts";
import { DatagramDriver, datagramAddress, sendDatagram } from "../../src/datagram-driver.ts";
import type { Driver } from "../../src/driver.ts";
import { KeyRing } from "../../src/key-ring.ts";
import { DatagramLink, StreamLink } from "../../src/links.ts";
import type { Dialer } from "../../src/open-session.ts";
import type { Link, LinkOptions, ReconnectOptions } from "../../src/reconnect/api.ts";
import { type Reception, ServerAttempt } from "../../src/server-attempt.ts";
import type { LiveSession } from "../../src/session.ts";
import { StreamDriver } from "../../src/stream-driver.ts";
import { DEVICE_ID, TEST_PSK } from "./loopback.ts";

export interface SimulatedNetworkOptions {
  readonly latencyMs?: number | undefined;
  readonly seed?: number | undefined;
  readonly settings?: Pick<SessionSettings, "keepaliveMs" | "idleTimeoutMs" | "handshakeTimeoutMs"> | undefined;
  /** The server's key. */
  readonly psk?: Uint8Array | undefined;
}

/** Closes one path without a word to its client. */
interface Path {
  vanish(): void;
  /** What the server sends is lost from now on. */
  mute(): void;
  reset(): void;
}

/** One server in virtual time that can be started, killed, cut off, and clients that dial it. */
export class SimulatedNetwork implements Dialer {
  readonly clock: VirtualClock;
  readonly sessions: LiveSession[] = [];
  readonly refusals: Refusal[] = [];
  /** When each session was established, at the server. */
  readonly establishedAt: Instant[] = [];
  /** Dials so far, answered or not. */
  readonly dialedAt: Instant[] = [];
  /** refuses: as a host on which nothing listens; swallows: as one that is not there. */
  mode: "serves" | "refuses" | "swallows" = "serves";
  readonly #options: SimulatedNetworkOptions;
  readonly #random: SeededRandom;
  readonly #slab: FrameSlab = new FrameSlab();
  readonly #config: ServerConfig;
  readonly #reception: Reception;
  #paths: Path[] = [];
  /** What the server does with a new session. */
  onAdmit: (session: LiveSession) => void = () => {};

  constructor(clock: VirtualClock, options: SimulatedNetworkOptions = {}) {
    this.clock = clock;
    this.#options = options;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#config = { crypto: defaultCrypto(), timing: parseTiming(options.settings ?? {}), isOwnDevice: () => false };
    this.#reception = {
      keys: new KeyRing(options.psk ?? TEST_PSK, false),
      receiveBufferBytes: 262_144,
      awaitsAcceptance: false,
      admit: (session) => this.#admit(session),
      refuse: (refusal) => this.refusals.push(refusal),
      noteDropped: () => {},
      onMoment: () => {},
      onMoved: () => {},
    };
  }

  /** The server's process dies: TCP peers see the connection end; UDP peers see nothing. */
  kill(): void {
    for (const path of this.#paths.splice(0)) path.reset();
    this.mode = "refuses";
  }

  /** The server's host is cut off: nobody sees anything. What is sent either way is lost, also on TCP, from now on. */
  cutOff(): void {
    for (const path of this.#paths.splice(0)) path.vanish();
    this.mode = "swallows";
  }

  /** Everything that the server sends from now on is lost, on the paths that there are. */
  muteServer(): void {
    for (const path of this.#paths) path.mute();
  }

  stream(_to: unknown, signal: AbortSignal): Promise<StreamTransport> {
    this.dialedAt.push(this.clock.now());
    return this.#answer(signal, () => {
      const link = new SimulatedStreamLink({ random: this.#random.fork(), conditions: this.#conditions });
      const [near, far] = streamTransports(link, this.clock);
      const path = cuttable(near, far);
      this.#paths.push(path);
      this.#acceptStream(far);
      return near;
    });
  }

  datagram(): Promise<ConnectedDatagramTransport> {
    this.dialedAt.push(this.clock.now());
    const link = new SimulatedDatagramLink({ random: this.#random.fork(), conditions: this.#conditions });
    const { client, server } = datagramTransports(link, this.clock);
    const lost: DatagramConditions = { ...this.#conditions, drop: 1 };
    const mute = (): void => {
      link.conditions = { ...link.conditions, "server-to-client": lost };
    };
    const cut = (): void => {
      link.conditions = { "client-to-server": lost, "server-to-client": lost };
    };
    this.#paths.push({ vanish: cut, mute, reset: cut });
    if (this.mode !== "serves") cut();
    this.#acceptDatagrams(server);
    return Promise.resolve(client);
  }

  /** A link over this network. */
  async link(
    transport: TransportName,
    reconnect: ReconnectOptions = {},
    options: Partial<Omit<LinkOptions, "reconnect">> = {},
  ): Promise<Link> {
    const link = await connectBy(this, {
      host: "server",
      port: 1,
      transport,
      psk: TEST_PSK,
      deviceId: DEVICE_ID,
      clock: this.clock,
      ...this.#options.settings,
      ...options,
      reconnect: { wake: false, ...reconnect },
    });
    return link as Link;
  }

  get #conditions(): { readonly latencyMs: number } {
    return { latencyMs: this.#options.latencyMs ?? 10 };
  }

  #answer<T>(signal: AbortSignal, accept: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.clock.schedule((this.clock.now() + 2 * this.#conditions.latencyMs) as Instant, () => {
        if (signal.aborted || this.mode === "swallows") return;
        if (this.mode === "refuses") reject(new Error("nothing listens there (ECONNREFUSED)"));
        else resolve(accept());
      });
    });
  }

  #acceptStream(far: StreamTransport): void {
    const connection = new StreamServer(this.#config, { slab: this.#slab }, this.clock.now());
    const driver = new StreamDriver(connection, far, this.clock);
    driver.owner = new ServerAttempt(this.#reception, new StreamLink(driver, far.peer), {
      provideKeys: (candidates) => driver.run((_, now) => connection.provideKeys(candidates, now)),
      handTo: (session) => {
        driver.owner = session;
      },
      onFailed: () => {},
    });
    driver.start();
  }

  /** A path's own endpoint: what the others do is nothing to it. */
  #acceptDatagrams(transport: DatagramTransport): void {
    const config = { ...this.#config, gate: new Gate(parseLimits({ handshakes: 10 }), this.clock.now()) };
    const endpoint = new DatagramEndpoint(config, this.clock.now());
    const drivers = new Map<DatagramServer, Driver<DatagramServer>>();
    const transmit = (): void => {
      for (let next = endpoint.pollTransmit(); next !== undefined; next = endpoint.pollTransmit()) {
        sendDatagram(transport, next);
      }
    };
    const adopt = (connection: DatagramServer): Driver<DatagramServer> => {
      const driver = new DatagramDriver(connection, transport, this.clock, () => drivers.delete(connection));
      driver.owner = new ServerAttempt(this.#reception, new DatagramLink(driver), {
        provideKeys: (candidates) => driver.run((_, now) => connection.provideKeys(candidates, now)),
        handTo: (session) => {
          driver.owner = session;
        },
        onFailed: () => {},
      });
      drivers.set(connection, driver as unknown as Driver<DatagramServer>);
      return driver as unknown as Driver<DatagramServer>;
    };
    transport.start({
      onDatagram: (data, from) => {
        const touched = endpoint.handleDatagram(data, datagramAddress(from), this.clock.now());
        transmit();
        for (const connection of touched) (drivers.get(connection) ?? adopt(connection)).drain();
      },
      onClose: () => {},
    });
  }

  #admit(session: LiveSession): void {
    this.sessions.push(session);
    this.establishedAt.push(this.clock.now());
    this.onAdmit(session);
  }
}

/** Lets one TCP path end, or lose what one or both ends send, from some moment on. */
function cuttable(near: StreamTransport, far: StreamTransport): Path {
  const muteNear = mutable(near);
  const muteFar = mutable(far);
  return {
    vanish() {
      muteNear();
      muteFar();
    },
    mute: muteFar,
    reset: () => far.destroy(),
  };
}

function mutable(end: StreamTransport): () => void {
  let mute = false;
  const write = end.write.bind(end);
  end.write = (bytes) => mute || write(bytes);
  return () => {
    mute = true;
  };
}
