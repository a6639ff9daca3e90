/**
 * Bytes that the protocol core and its crypto provider hold for one handshake and for one session, without sockets and driver:
 * JavaScript heap and array buffers after a collection, and what the process grew by, which adds OpenSSL's share.
 * Runs as a process of its own (node --expose-gc) and prints JSON.
 */
import { chooseCrypto, nobleCrypto, nodeCrypto } from "@usmp/crypto";
import { FrameSlab, instant, parseTiming, Secret, StreamClient, StreamServer } from "@usmp/protocol";
import { collectGarbage } from "./servers/garbage.mjs";

const COUNT = 2_000;
const NOW = instant(0);
const benchPsk = new Secret(new Uint8Array(32).fill(7));
const timing = parseTiming({});
const slab = new FrameSlab();

/** @param {import("@usmp/protocol").CryptoProvider} crypto */
function newPair(crypto) {
  const deviceId = new Uint8Array(6);
  const client = new StreamClient({ crypto, timing, psk: benchPsk, deviceId }, { slab }, NOW);
  const server = new StreamServer({ crypto, timing, isOwnDevice: () => false }, { slab }, NOW);
  return { client, server };
}

/** @typedef {ReturnType<typeof newPair>} Pair */

/** @param {Pair["client"] | Pair["server"]} from @param {Pair["client"] | Pair["server"]} to */
function deliver(from, to) {
  for (let bytes = from.pollTransmit(); bytes !== undefined; bytes = from.pollTransmit()) to.handleBytes(bytes, NOW);
}

/** @param {Pair} pair up to CHALLENGE and its answer */
function shakeHalf({ client, server }) {
  deliver(client, server);
  drain(server);
  deliver(server, client);
}

/** @param {Pair} pair */
function shakeRest({ client, server }) {
  deliver(client, server);
  deliver(server, client);
  drain(server);
  if (server.state !== "established") throw new Error(`the handshake ended ${server.state}`);
}

/** @param {Pair["server"]} server */
function drain(server) {
  for (let event = server.pollEvent(); event !== undefined; event = server.pollEvent()) {
    if (event.type === "keys-needed") server.provideKeys([benchPsk], NOW);
  }
}

/** @param {() => Pair["server"]} make */
async function heldEach(make) {
  await collectGarbage();
  const before = process.memoryUsage();
  const kept = Array.from({ length: COUNT }, make);
  await collectGarbage();
  const after = process.memoryUsage();
  // `external` counts the array buffers.
  const held = after.heapUsed + after.external - before.heapUsed - before.external;
  const figures = { javascriptBytes: held / kept.length, residentBytes: (after.rss - before.rss) / kept.length };
  for (const server of kept) server.abort();
  return figures;
}

/** @param {import("@usmp/protocol").CryptoProvider} crypto */
async function heldBy(crypto) {
  const handshake = () => {
    const pair = newPair(crypto);
    shakeHalf(pair);
    pair.client.abort();
    return pair.server;
  };
  const session = () => {
    const pair = newPair(crypto);
    shakeHalf(pair);
    shakeRest(pair);
    pair.client.abort();
    return pair.server;
  };
  await heldEach(session); // warm-up
  return { handshake: await heldEach(handshake), session: await heldEach(session) };
}

const { crypto: chosen } = chooseCrypto(undefined);
const providers = new Set([chosen, nodeCrypto, nobleCrypto]);
/** @type {Record<string, Awaited<ReturnType<typeof heldBy>>>} */
const held = {};
for (const provider of providers) held[provider.name] = await heldBy(provider);
console.log(JSON.stringify(held));
