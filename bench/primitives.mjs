/**
 * Microseconds for one of each primitive: by our providers, and by `openssl speed`, which is what the machine gives without a caller. Prints JSON.
 */
import { performance } from "node:perf_hooks";
import { chooseCrypto, nobleCrypto, nodeCrypto } from "@usmp/crypto";
import { Secret } from "@usmp/protocol";
import { run } from "../scripts/run.mjs";

const SIZES = /** @type {const} */ ([64, 452]);
const OVERHEAD = 40;
const RUN_MS = 300;

/** @typedef {Record<string, Record<string, number>>} PrimitiveTable by what is called, by operation */

console.log(JSON.stringify(await primitives()));

/** @returns {Promise<PrimitiveTable>} */
async function primitives() {
  /** @type {PrimitiveTable} */
  const table = {};
  const openssl = await opensslSpeed();
  if (openssl !== undefined) table["openssl speed"] = openssl;
  for (const provider of providers()) table[provider.name] = ofProvider(provider);
  return table;
}

/** The native one, where it is built, first. */
function providers() {
  const { crypto } = chooseCrypto(undefined);
  return crypto === nodeCrypto ? [nodeCrypto, nobleCrypto] : [crypto, nodeCrypto, nobleCrypto];
}

/** @param {import("@usmp/protocol").CryptoProvider} crypto */
function ofProvider(crypto) {
  const ours = crypto.generateKeyPair();
  const theirs = crypto.generateKeyPair().publicKey;
  const request = {
    keyPair: ours,
    peerPublicKey: theirs,
    salt: new Uint8Array(32),
    info: new Uint8Array(80),
    sessionId: new Uint8Array(16),
  };
  const derive = (/** @type {"client" | "server"} */ side) => {
    const keys = crypto.deriveTrafficKeys({ ...request, side });
    if (keys === undefined) throw new Error(`${crypto.name} derives nothing`);
    return keys;
  };
  const client = derive("client");
  const server = derive("server");
  const psk = new Secret(new Uint8Array(32).fill(7));
  const transcript = [new Uint8Array(118)];
  /** @type {Record<string, number>} */
  const figures = {};
  for (const size of SIZES) {
    const frame = new Uint8Array(size + OVERHEAD);
    figures[`seal ${size} B`] = microsecondsEach(() => client.transmit.seal(frame));
    const sealed = new Uint8Array(size + OVERHEAD);
    client.transmit.seal(sealed);
    const out = new Uint8Array(size);
    figures[`open ${size} B`] = microsecondsEach(() => server.receive.open(sealed, out));
  }
  figures["X25519 key pair"] = microsecondsEach(() => crypto.generateKeyPair().wipe());
  figures["X25519 exchange and HKDF"] = microsecondsEach(() => derive("server").wipe());
  figures["HMAC-SHA256"] = microsecondsEach(() => crypto.hmacSha256(psk, transcript));
  return figures;
}

/** @param {() => unknown} work */
function microsecondsEach(work) {
  for (const until = performance.now() + RUN_MS / 3; performance.now() < until; ) work();
  let count = 0;
  const started = performance.now();
  for (; performance.now() - started < RUN_MS; count++) work();
  return ((performance.now() - started) * 1_000) / count;
}

/** @returns {Promise<Record<string, number> | undefined>} undefined where there is no openssl */
async function opensslSpeed() {
  /** @type {Record<string, number>} */
  const figures = {};
  for (const size of SIZES) {
    const bytes = ["-bytes", String(size)];
    const sealing = await speed(["-evp", "aes-256-gcm", ...bytes]);
    if (sealing === undefined) return undefined;
    figures[`seal ${size} B`] = size / perMicrosecond(sealing);
    const opening = await speed(["-decrypt", "-evp", "aes-256-gcm", ...bytes]);
    if (opening !== undefined) figures[`open ${size} B`] = size / perMicrosecond(opening);
  }
  const exchange = await speed(["ecdhx25519"]);
  // Seconds for one are its last field, to six digits: the rate before it is exact.
  const perSecond = Number(/^\+F5:(?:[^:]*:)*([\d.]+):[\d.]+$/m.exec(exchange ?? "")?.[1]);
  if (perSecond > 0) figures["X25519 exchange"] = 1_000_000 / perSecond;
  const mac = await speed(["-hmac", "sha256", "-bytes", "118"]);
  if (mac !== undefined) figures["HMAC-SHA256"] = 118 / perMicrosecond(mac);
  return figures;
}

/** @param {readonly string[]} what */
async function speed(what) {
  const { ok, output } = await run("openssl", ["speed", "-mr", "-seconds", "1", ...what], { capture: true });
  return ok ? output : undefined;
}

/** Bytes: the last field of the line +F of `openssl speed -mr` is bytes a second. @param {string} output */
function perMicrosecond(output) {
  return Number(/^\+F:.*:([\d.]+)$/m.exec(output)?.[1]) / 1_000_000;
}
