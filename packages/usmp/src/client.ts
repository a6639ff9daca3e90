import { defaultCrypto } from "@usmp/crypto";
import { type CryptoProvider, constants, parseRekeying, parseTiming, UsageError } from "@usmp/protocol";
import { checkHostAndPort } from "@usmp/transport";
import type { ConnectOptions, Session } from "./api.ts";
import { systemClock } from "./clock.ts";
import { parseDeviceId } from "./device-id.ts";
import { usableKey } from "./key-policy.ts";
import { type Dialer, networkDialer, openSession, type Target } from "./open-session.ts";
import type { Link, LinkOptions } from "./reconnect/api.ts";
import { openLink } from "./reconnect/link.ts";
import { receiveLimit } from "./settings.ts";

/**
 * Connects to a USMP server and shakes hands. Rejects with ConnectError (see docs/errors.md for its codes), UsageError for options
 * that cannot be, or the signal's reason.
 *
 * With `reconnect` it resolves with a link that outlives sessions: at once, whether or not the server is there yet, because that is what
 * a link is for. `await link.connected()` waits for a session. `signal` then ends the link. See docs/reconnect.md.
 *
 * ```ts
 * const link = await connect({ host: "gateway.local", port: 9000, psk, deviceId, reconnect: true });
 * const reading = link.send("21.5 °C");
 * console.log((await reading.outcome).fate); // "delivered", "unknown" or "dropped", however long it takes
 * for await (const message of link) console.log(new TextDecoder().decode(message));
 * ```
 */
export function connect(options: LinkOptions): Promise<Link>;
export function connect(options: ConnectOptions): Promise<Session>;
export function connect(options: ConnectOptions | LinkOptions): Promise<Session | Link> {
  return connectBy(networkDialer, options);
}

/** connect() over other transports than the network's: simulation uses it. */
export async function connectBy(dialer: Dialer, options: ConnectOptions | LinkOptions): Promise<Session | Link> {
  const { signal, reconnect } = options;
  signal?.throwIfAborted();
  const { receiveBufferBytes, release, ...target } = readTarget(dialer, options);
  if (reconnect === undefined || reconnect === false) {
    return openSession(target, { receiveBufferBytes, signal }).finally(release);
  }
  try {
    return openLink(target, reconnect === true ? {} : reconnect, { receiveBufferBytes, signal, release });
  } catch (error) {
    release();
    throw error;
  }
}

/** Checks every option before anything is opened. `release` forgets the key that was copied, if one was. */
function readTarget(
  dialer: Dialer,
  options: ConnectOptions | LinkOptions,
): Target & { readonly receiveBufferBytes: number; readonly release: () => void } {
  const { host, port, transport = "tcp", crypto = defaultCrypto(), clock = systemClock } = options;
  if (transport !== "tcp" && transport !== "udp") {
    throw new UsageError("invalid-option", `transport ${JSON.stringify(transport)} is unknown; it is "tcp" or "udp"`);
  }
  checkHostAndPort(host, port, "", 1);
  const timing = parseTiming(options);
  const rekeying = parseRekeying(options.rekey);
  const receiveBufferBytes = receiveLimit(options.receiveBufferBytes);
  const deviceId = options.deviceId === undefined ? randomDeviceId(crypto) : parseDeviceId(options.deviceId);
  const key = usableKey(options.psk, options.development ?? false);
  const release = (): void => {
    if (key.owned) key.secret.wipe();
  };
  const peer = { transport, host, port };
  return { peer, psk: key.secret, deviceId, crypto, timing, rekeying, clock, dialer, receiveBufferBytes, release };
}

function randomDeviceId(crypto: CryptoProvider): Uint8Array {
  const deviceId = new Uint8Array(constants.DEVICE_ID_LENGTH);
  crypto.randomFill(deviceId);
  return deviceId;
}
