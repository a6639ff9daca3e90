import { createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from "node:crypto";
import { fromHex, toHex } from "../hex.ts";
import type { SessionReport } from "./report.ts";

/** Every secret of one session, by name, computed from the report with node:crypto alone: none of the code under test. */
export function secretsOf(report: SessionReport, mask: string): Map<string, Uint8Array> {
  const clientPrivate = unmask(report.maskedClientPrivate, mask);
  const serverPrivate = unmask(report.maskedServerPrivate, mask);
  const shared = exchange(clientPrivate, report.serverPublic);
  if (!shared.equals(exchange(serverPrivate, report.clientPublic)))
    throw new Error("the reported key pairs do not match");
  const keys = derive(shared, report.salt, report.info);
  const nextKeys = derive(keys, report.rekeySalt, report.rekeyInfo);
  if (!opens(keys, report.frame) || !opens(nextKeys, report.rekeyedFrame))
    throw new Error("the reported frames do not open");
  return new Map([
    ["client private key", clientPrivate],
    ["server private key", serverPrivate],
    ["client private key, clamped", clamp(clientPrivate)],
    ["server private key, clamped", clamp(serverPrivate)],
    ["shared secret", shared],
    ["client-to-server key", keys.subarray(0, 32)],
    ["server-to-client key", keys.subarray(32)],
    ["rekeyed client-to-server key", nextKeys.subarray(0, 32)],
    ["rekeyed server-to-client key", nextKeys.subarray(32)],
  ]);
}

/** What to look for: each half of each secret, as bytes and as the hexadecimal text of either byte order. */
export function needlesOf(secrets: ReadonlyMap<string, Uint8Array>, prefix: string): Map<string, Uint8Array> {
  const needles = new Map<string, Uint8Array>();
  for (const [name, secret] of secrets) {
    for (const [half, bytes] of [
      ["first", secret.subarray(0, 16)],
      ["second", secret.subarray(16)],
    ] as const) {
      const label = `${prefix} ${name}, ${half} half`;
      needles.set(`${label}, bytes`, bytes);
      needles.set(`${label}, hex`, Buffer.from(toHex(bytes)));
      needles.set(`${label}, reversed hex`, Buffer.from(toHex(bytes.slice().reverse())));
    }
  }
  return needles;
}

export function unmask(masked: string, mask: string): Uint8Array {
  const maskBytes = fromHex(mask);
  return fromHex(masked).map((byte, index) => byte ^ (maskBytes[index] as number));
}

/** RFC 7748 section 5: the scalar that X25519 really multiplies by. */
export function clamp(privateKey: Uint8Array): Uint8Array {
  const scalar = privateKey.slice();
  scalar[0] = (scalar[0] as number) & 248;
  scalar[31] = ((scalar[31] as number) & 127) | 64;
  return scalar;
}

export function exchange(privateKey: Uint8Array, publicKeyHex: string): Buffer {
  const pkcs8 = Buffer.concat([fromHex("302e020100300506032b656e04220420"), privateKey]);
  const spki = fromHex(`302a300506032b656e032100${publicKeyHex}`);
  return diffieHellman({
    privateKey: createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }),
    publicKey: createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }),
  });
}

export function derive(ikm: Uint8Array, salt: string, info: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", ikm, fromHex(salt), fromHex(info), 64));
}

function opens(keys: Uint8Array, frameHex: string): boolean {
  const frame = fromHex(frameHex);
  const decipher = createDecipheriv("aes-256-gcm", keys.subarray(0, 32), frame.subarray(12, 24));
  decipher.setAAD(frame.subarray(0, 10)).setAuthTag(frame.subarray(-16));
  decipher.update(frame.subarray(24, -16));
  decipher.final();
  return true;
}
