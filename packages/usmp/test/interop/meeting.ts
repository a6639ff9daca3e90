import { type PythonClient, type PythonProtocol, PythonServer, type PythonSession } from "@usmp/testkit";
import type { Session } from "usmp";
import { onTestFinished } from "vitest";
import { LOOPBACK, open, serve, TEST_PSK } from "../support/loopback.ts";

/** Which side this library is. The other is the public Python SDK. */
export type OurRole = "server" | "client";

export interface Meeting {
  readonly ours: Session;
  readonly theirs: PythonSession;
}

export const ROLES_AND_PROTOCOLS: readonly (readonly [string, OurRole, PythonProtocol])[] = [
  ["their client and our server over TCP", "server", "tcp"],
  ["their client and our server over UDP", "server", "udp"],
  ["our client and their server over TCP", "client", "tcp"],
  ["our client and their server over UDP", "client", "udp"],
];

/** One session between the two implementations. */
export async function meet(python: PythonClient, role: OurRole, protocol: PythonProtocol): Promise<Meeting> {
  return role === "server" ? theyConnect(python, protocol) : weConnect(protocol);
}

async function theyConnect(python: PythonClient, protocol: PythonProtocol): Promise<Meeting> {
  const listening = await serve();
  const { port } = listening.address(protocol);
  const theirs = await python.connect({ host: LOOPBACK, port, psk: TEST_PSK, protocol });
  return { ours: await listening.accept(), theirs };
}

async function weConnect(protocol: PythonProtocol): Promise<Meeting> {
  const python = await startPythonServer({ psk: TEST_PSK, protocol });
  const ours = await open(python.address, { transport: protocol });
  return { ours, theirs: await python.accept() };
}

/** A Python server in a process of its own, so that its lockout of this host ends with the test. */
export async function startPythonServer(options: Parameters<typeof PythonServer.start>[0]): Promise<PythonServer> {
  const python = await PythonServer.start(options);
  onTestFinished(() => python[Symbol.asyncDispose]());
  return python;
}
