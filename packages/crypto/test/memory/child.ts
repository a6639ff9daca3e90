import { randomBytes } from "node:crypto";
import { chooseCrypto } from "@usmp/crypto";
import type { CryptoProvider, KeyPair, TrafficKeys } from "@usmp/protocol";
import { letKeysGo } from "./garbage.ts";
import { watchKeyGeneration } from "./key-watch.ts";
import type { ChildMessage, SessionReport } from "./report.ts";

/**
 * The process whose memory is searched: `node --expose-gc child.mjs node|noble|native`, talking over the IPC channel.
 *
 * It lives through WIPED sessions and KEPT ones, reports them, and on "forget" wipes the former and lets the garbage collector run.
 * The private keys are those that generateKeyPair() really made: they are seen at the function of the platform that the provider
 * takes them from (OpenSSL's key generation, getRandomValues), masked on the spot, and the copy made for seeing them is zeroed.
 * The native provider shows its private keys to nobody: it gets them from here instead, and this copy is zeroed too.
 */
const WIPED = 100;
const KEPT = 4;

const mask = randomBytes(32);
let lastPrivateKey = "";

interface LiveSession {
  readonly pairs: readonly KeyPair[];
  readonly keys: readonly TrafficKeys[];
}

function main(provider: CryptoProvider): void {
  const crypto = watchKeyGeneration(provider, see);
  // Both stay referenced to the end: that the keys of the first are gone must be the work of wipe().
  const wiped: LiveSession[] = [];
  const kept: LiveSession[] = [];
  const wipedReports = Array.from({ length: WIPED }, () => runSession(crypto, wiped));
  const keptReports = Array.from({ length: KEPT }, () => runSession(crypto, kept));
  process.on("message", async () => {
    for (const { pairs, keys } of wiped) for (const secret of [...pairs, ...keys]) secret.wipe();
    await letKeysGo(crypto.name);
    tell({ type: "forgotten" });
  });
  process.on("disconnect", () => process.exit(wiped.length + kept.length === WIPED + KEPT ? 0 : 1));
  tell({ type: "live", mask: mask.toString("hex"), wiped: wipedReports, kept: keptReports });
}

/** One session from key generation to frames under rekeyed keys; what it holds in the end goes to `held`. */
function runSession(crypto: CryptoProvider, held: LiveSession[]): SessionReport {
  const clientPair = crypto.generateKeyPair();
  const maskedClientPrivate = lastPrivateKey;
  const serverPair = crypto.generateKeyPair();
  const maskedServerPrivate = lastPrivateKey;
  const [salt, info, rekeySalt, rekeyInfo, sessionId] = [
    randomBytes(32),
    randomBytes(71),
    randomBytes(32),
    randomBytes(26),
    randomBytes(16),
  ];
  const request = { salt, info, sessionId };
  const client = crypto.deriveTrafficKeys({
    ...request,
    side: "client",
    keyPair: clientPair,
    peerPublicKey: serverPair.publicKey,
  });
  const server = crypto.deriveTrafficKeys({
    ...request,
    side: "server",
    keyPair: serverPair,
    peerPublicKey: clientPair.publicKey,
  });
  if (client === undefined || server === undefined) throw new Error("no traffic keys were derived");
  const [clientNext, serverNext] = [client.next("us", rekeySalt, rekeyInfo), server.next("peer", rekeySalt, rekeyInfo)];
  held.push({ pairs: [clientPair, serverPair], keys: [client, server, clientNext, serverNext] });
  return {
    maskedClientPrivate,
    maskedServerPrivate,
    clientPublic: Buffer.from(clientPair.publicKey).toString("hex"),
    serverPublic: Buffer.from(serverPair.publicKey).toString("hex"),
    salt: salt.toString("hex"),
    info: info.toString("hex"),
    rekeySalt: rekeySalt.toString("hex"),
    rekeyInfo: rekeyInfo.toString("hex"),
    frame: exchangeFrame(client, server),
    rekeyedFrame: exchangeFrame(clientNext, serverNext),
  };
}

function exchangeFrame(client: TrafficKeys, server: TrafficKeys): string {
  const frame = randomBytes(104);
  client.transmit.seal(frame);
  server.transmit.acknowledgementMac(frame.subarray(0, 7));
  if (!server.receive.open(frame, new Uint8Array(64))) throw new Error("a frame did not open");
  return frame.toString("hex");
}

function see(privateKey: Uint8Array): void {
  lastPrivateKey = Buffer.from(mask.map((byte, index) => byte ^ (privateKey[index] as number))).toString("hex");
}

function tell(message: ChildMessage): void {
  process.send?.(message);
}

main(chooseCrypto(process.argv[2]).crypto);
