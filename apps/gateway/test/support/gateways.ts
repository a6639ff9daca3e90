import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import { connect, type Session } from "usmp";
import { onTestFinished } from "vitest";
import { type ControlClient, connectControl } from "../../src/control/client.ts";
import type { ControlMethod, ControlMethods, EnrolledDevice, RefusalView } from "../../src/control/methods.ts";
import type { Gateway, GatewayOptions, GatewaySession } from "../../src/gateway/gateway.ts";
import { openGateway } from "../../src/gateway/open-gateway.ts";
import type { InboundMessage } from "../../src/messages/messages.ts";
import type { TestHome } from "./registries.ts";

const LOOPBACK = "127.0.0.1";

type ItemOf<M extends ControlMethod> = ControlMethods[M] extends { item: infer I } ? I : never;

/** A gateway on free loopback ports, in this process, with its owner's client. */
export class TestGateway {
  readonly gateway: Gateway;
  readonly control: ControlClient;
  readonly sessions: GatewaySession[] = [];
  readonly messages: InboundMessage[] = [];

  constructor(gateway: Gateway, control: ControlClient) {
    this.gateway = gateway;
    this.control = control;
    gateway.onSession((session) => this.sessions.push(session));
    gateway.events.on((event) => {
      if (event.type === "message") this.messages.push(event.message);
    });
  }

  static async open(home: TestHome, options: Partial<GatewayOptions> = {}): Promise<TestGateway> {
    const gateway = await openGateway({
      dataDirectory: home.directory,
      database: home.database,
      master: { kind: "file", path: join(home.directory, "master") },
      surroundings: { variables: {}, askPassphrase: undefined },
      tcp: `${LOOPBACK}:0`,
      udp: `${LOOPBACK}:0`,
      development: false,
      estimateTextBits: (text) => text.length * 3,
      version: "test",
      ...options,
    });
    const control = await connectControl(home.directory);
    onTestFinished(async () => {
      control.close();
      for (const session of gateway.server.sessions) session.abort();
      await gateway.close();
    });
    return new TestGateway(gateway, control);
  }

  /** Texts of a device's messages, as they were told. */
  textsOf(id: string): string[] {
    return this.messages.filter(({ device }) => device === id).map(({ data }) => Buffer.from(data).toString());
  }

  port(transport: "tcp" | "udp"): number {
    const address = this.gateway.server.addresses.find((each) => each.transport === transport);
    if (address === undefined) throw new Error(`not listening on ${transport}`);
    return address.port;
  }

  async add(id?: string, params: object = {}): Promise<EnrolledDevice> {
    const { devices } = await this.control.call("device.add", {
      devices: [id === undefined ? params : { id, ...params }],
    });
    return devices[0] as EnrolledDevice;
  }

  async all<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): Promise<ItemOf<M>[]> {
    const items: ItemOf<M>[] = [];
    for await (const item of this.control.stream(method, params)) items.push(item);
    return items;
  }

  async rotate(id: string, params: object = {}): Promise<EnrolledDevice> {
    const [rotated] = await this.all("device.rotate", { id, ...params });
    return rotated as EnrolledDevice;
  }

  /** Connects as a device; the end of the test aborts it. */
  async device(id: string, psk: Uint8Array | string, transport: "tcp" | "udp" = "tcp"): Promise<Session> {
    const session = await connect({
      host: LOOPBACK,
      port: this.port(transport),
      transport,
      deviceId: id,
      psk: typeof psk === "string" ? keyOf(psk) : new Secret(psk),
      handshakeTimeoutMs: 800,
      development: true,
    });
    onTestFinished(() => session.abort());
    return session;
  }

  /** Tries to connect, which must fail, and answers why the gateway says that it did. */
  async refused(id: string, psk: Uint8Array | string, transport: "tcp" | "udp" = "tcp"): Promise<RefusalView> {
    const before = (await this.all("why", { id }))[0];
    const session = await this.device(id, psk, transport).catch(() => undefined);
    if (session !== undefined) throw new Error(`${id} was let in`);
    for (;;) {
      const [newest] = await this.all("why", { id });
      if (newest !== undefined && JSON.stringify(newest) !== JSON.stringify(before)) return newest;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** A key as the gateway prints it. */
export function keyOf(psk: string): Secret {
  return new Secret(Buffer.from(psk.replace(/^hex:/, ""), "hex"));
}

export function bytesOf(psk: string): Buffer {
  return Buffer.from(psk.replace(/^hex:/, ""), "hex");
}
