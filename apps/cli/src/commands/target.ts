import { connect, formatDeviceId, type Session } from "usmp";
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
  const { randomDevice, ...target } = readTarget(address, options);
  const { host, port, transport, deviceId } = target;
  const { psk, event } = await loadKey(options, environment);
  try {
    await reporter.event(event, environment.stderr);
    const device = formatDeviceId(deviceId);
    await reporter.event({ event: "connecting", transport, host, port, device, randomDevice }, environment.stderr);
    const handshakeTimeoutMs = options.timeout * 1000;
    const session = await connect({
      ...target,
      psk,
      handshakeTimeoutMs,
      development: options.dev,
      signal: environment.signal,
    });
    await reporter.event(sessionEvent(session), environment.stderr);
    return session;
  } finally {
    psk.wipe();
  }
}
