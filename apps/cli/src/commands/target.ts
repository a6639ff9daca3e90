import { type ConnectOptions, connect, formatDeviceId, type Link, type Secret, type Session } from "usmp";
import type { Environment } from "../environment.ts";
import { sessionEvent } from "../events.ts";
import { loadKey } from "../key-source.ts";
import { readTarget, type TargetOptions } from "../options.ts";
import type { Reporter } from "../reporter.ts";

/** Connects where and as the options say, and tells who we are there: beside standard output, which is for messages. */
export async function openSession(
  address: string,
  options: TargetOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<Session> {
  const whereto = await prepare(address, options, environment, reporter);
  try {
    const session = await connect({ ...whereto, signal: environment.signal });
    await reporter.event(sessionEvent(session), environment.stderr);
    return session;
  } finally {
    whereto.psk.wipe();
  }
}

/** The same, with a link that outlives sessions; its states are the conversation's to tell. */
export async function openLink(
  address: string,
  options: TargetOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<Link> {
  const whereto = await prepare(address, options, environment, reporter);
  const link = await connect({ ...whereto, reconnect: true });
  void link.closed.then(() => whereto.psk.wipe());
  return link;
}

/** Loads the key, which is the caller's to wipe, and tells where we go. */
async function prepare(
  address: string,
  options: TargetOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<Omit<ConnectOptions, "reconnect" | "psk"> & { readonly psk: Secret }> {
  const { randomDevice, ...target } = readTarget(address, options);
  const { host, port, transport, deviceId } = target;
  const { psk, event } = await loadKey(options, environment);
  await reporter.event(event, environment.stderr);
  const device = formatDeviceId(deviceId);
  await reporter.event({ event: "connecting", transport, host, port, device, randomDevice }, environment.stderr);
  return { ...target, psk, handshakeTimeoutMs: options.timeout * 1000, development: options.dev };
}
