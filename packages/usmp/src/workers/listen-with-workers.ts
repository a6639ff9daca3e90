import cluster from "node:cluster";
import { UsageError } from "@usmp/protocol";
import { AddressError, bindUdp, listenTcp } from "@usmp/transport";
import type { ListenOptions, Server } from "../api.ts";
import { systemClock } from "../clock.ts";
import { ListenError } from "../errors.ts";
import { listenAddress } from "../server.ts";
import { type BoundAddress, type BoundAddresses, WorkersServer } from "./workers-server.ts";

/** More processes than any machine that this is meant for has cores. */
const MAX_WORKERS = 64;
/** Another program may take a port between the moment when it was found free and the one when workers bind it. */
const PORT_TRIES = 5;

/** A server whose sessions live in worker processes: see listen(). */
export async function listenWithWorkers(options: ListenOptions, count: number): Promise<Server> {
  check(options, count);
  const wished = {
    tcp: options.tcp === undefined ? undefined : listenAddress(options.tcp, "tcp"),
    udp: options.udp === undefined ? undefined : listenAddress(options.udp, "udp"),
  };
  for (let tries = PORT_TRIES; ; tries--) {
    const server = new WorkersServer(options, count);
    try {
      await server.open(await withPorts(wished));
      return server;
    } catch (error) {
      await server.close();
      if (error instanceof UsageError || error instanceof AddressError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      const lostPort =
        [wished.tcp, wished.udp].some((address) => address?.port === 0) && message.includes("EADDRINUSE");
      if (!lostPort || tries === 1) throw new ListenError(message, { cause: error });
    }
  }
}

function check({ crypto, clock = systemClock }: ListenOptions, count: number): void {
  const invalid = (message: string): UsageError => new UsageError("invalid-option", message);
  if (!Number.isInteger(count) || count < 1 || count > MAX_WORKERS) {
    throw invalid(`workers is ${count}; it must be a whole number from 1 to ${MAX_WORKERS}`);
  }
  if (process.platform === "win32") {
    throw invalid(
      "workers need a system where processes can share a UDP socket, which Windows is not; leave workers out",
    );
  }
  if (!cluster.isPrimary)
    throw invalid("workers were asked for in a process that is a worker of node:cluster itself; leave workers out");
  if (crypto !== undefined) throw invalid("crypto cannot be handed to worker processes; leave crypto or workers out");
  if (clock !== systemClock) throw invalid("clock cannot be handed to worker processes; leave clock or workers out");
}

/** All workers must bind the same ports: those that are 0 are chosen here. */
async function withPorts({ tcp, udp }: BoundAddresses): Promise<BoundAddresses> {
  return {
    tcp: tcp && (tcp.port === 0 ? await freeTcpPort(tcp) : tcp),
    udp: udp && (udp.port === 0 ? await freeUdpPort(udp) : udp),
  };
}

async function freeTcpPort({ host }: BoundAddress): Promise<BoundAddress> {
  const listener = await listenTcp({ host, port: 0 }, (transport) => transport.destroy());
  const { port } = listener.address;
  await listener.close();
  return { host, port };
}

async function freeUdpPort({ host }: BoundAddress): Promise<BoundAddress> {
  const socket = await bindUdp({ host, port: 0 });
  const { port } = socket.address;
  await new Promise<void>((resolve) => {
    socket.start({ onDatagram: () => {}, onClose: () => resolve() });
    socket.close();
  });
  return { host, port };
}
