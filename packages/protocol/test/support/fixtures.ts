import { defaultCrypto } from "@usmp/crypto";
import type { ClientConfig, ServerConfig } from "../../src/connection/config.ts";
import { DEFAULT_TIMING } from "../../src/connection/config.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { Secret } from "../../src/crypto/secret.ts";
import { type Instant, instant } from "../../src/time.ts";
import { fromHex } from "./hex.ts";

export const ROLES = ["client", "server"] as const;
export const DEVICE_ID: Uint8Array = fromHex("d0d1d2d3d4d5");
export const OTHER_DEVICE_ID: Uint8Array = fromHex("e0e1e2e3e4e5");
/** Any moment will do: only differences count. */
export const START: Instant = instant(1_000_000);

export function after(milliseconds: number): Instant {
  return instant(START + milliseconds);
}

export function testPsk(): Secret {
  return new Secret(new Uint8Array(32).fill(0x5a));
}

export function otherTestPsk(): Secret {
  return new Secret(new Uint8Array(32).fill(0xa5));
}

export function clientConfig(overrides: Partial<ClientConfig> = {}): ClientConfig {
  return { crypto: defaultCrypto(), timing: DEFAULT_TIMING, psk: testPsk(), deviceId: DEVICE_ID, ...overrides };
}

export function serverConfig(overrides: Partial<ServerConfig> = {}): ServerConfig {
  return { crypto: defaultCrypto(), timing: DEFAULT_TIMING, isOwnDevice: () => false, ...overrides };
}

export function randomBytes(length: number, crypto: CryptoProvider = defaultCrypto()): Uint8Array {
  const out = new Uint8Array(length);
  crypto.randomFill(out);
  return out;
}

export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}
