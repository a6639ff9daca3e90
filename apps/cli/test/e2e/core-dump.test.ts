import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { nodeCrypto } from "@usmp/crypto";
import { type CryptoProvider, Secret } from "@usmp/protocol";
import { connect, type Session } from "usmp";
import { describe, expect, test } from "vitest";
import { hasGcore, searchMemory } from "../../../../packages/crypto/test/memory/core-dump.ts";
import { derive, exchange, needlesOf } from "../../../../packages/crypto/test/memory/known-keys.ts";
import { BIN, Child, finished } from "./process.ts";

const SESSIONS = 30;
const canDump = hasGcore();
if (!canDump) {
  if (process.env["CI"] === "true") throw new Error("gcore is missing: install gdb, CI must run the core-dump proof");
  console.warn("skipped: gcore is missing, so no core dump of a gateway can be searched for keys; install gdb");
}

/** Node's own cryptography, and the keys of each session that is made with it, which only the client's side knows here. */
function observedCrypto(): { readonly crypto: CryptoProvider; readonly keys: Uint8Array[] } {
  const keys: Uint8Array[] = [];
  let privateKey: Uint8Array = new Uint8Array(0);
  const crypto: CryptoProvider = {
    name: nodeCrypto.name,
    randomFill: (out) => nodeCrypto.randomFill(out),
    generateKeyPair() {
      privateKey = Uint8Array.from(randomBytes(32));
      return nodeCrypto.importKeyPair(new Secret(privateKey));
    },
    importKeyPair: (given) => nodeCrypto.importKeyPair(given),
    hmacSha256: (key, parts) => nodeCrypto.hmacSha256(key, parts),
    deriveTrafficKeys(request) {
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
      keys.push(derive(exchange(privateKey, hex(request.peerPublicKey)), hex(request.salt), hex(request.info)));
      return nodeCrypto.deriveTrafficKeys(request);
    },
    importTrafficKeys: (...parameters) => nodeCrypto.importTrafficKeys(...parameters),
  };
  return { crypto, keys };
}

/** Two keys of a session as needles. */
function needles(name: string, keys: Uint8Array): Map<string, Uint8Array> {
  return needlesOf(
    new Map([
      ["client-to-server key", keys.subarray(0, 32)],
      ["server-to-client key", keys.subarray(32)],
    ]),
    name,
  );
}

describe.skipIf(!canDump)("a core dump of a running gateway", () => {
  test("holds no key of its closed sessions once the collector has run, and does hold those of a live one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "usmp-core-"));
    try {
      // The collector is asked from outside: the gateway itself is the one that users run.
      const collector = join(folder, "collector.mjs");
      writeFileSync(collector, 'process.on("SIGUSR2", () => { gc(); gc(); process.stderr.write("collected\\n"); });\n');
      const variables = { USMP_DATA: join(folder, "data") };
      const words = ["gateway", "--tcp", "127.0.0.1:0", "--json"];
      const gateway = new Child(
        process.execPath,
        ["--expose-gc", "--import", pathToFileURL(collector).href, BIN, ...words],
        variables,
      );
      const listening = await gateway.stdout.line((line) => line.includes('"listening"'));
      const { port } = JSON.parse(listening) as { port: number };
      const added = await finished(["device", "add", "--json"], "", variables);
      const { id, psk } = JSON.parse(added.out) as { id: string; psk: string };

      const { crypto, keys } = observedCrypto();
      const open = (): Promise<Session> =>
        connect({ host: "127.0.0.1", port, deviceId: id, psk: Buffer.from(psk, "hex"), crypto });
      for (let index = 0; index < SESSIONS; index++) {
        const session = await open();
        await session.send("a reading");
        await session.ping();
        await session.close();
      }
      const live = await open();
      await live.ping();
      const closed = (): number => gateway.stdout.lines.filter((line) => line.includes('"event":"closed"')).length;
      await gateway.stdout.line(() => closed() === SESSIONS);
      gateway.process.kill("SIGUSR2");
      await gateway.stderr.line((line) => line === "collected");
      await live.ping();
      gateway.process.kill("SIGUSR2");
      await gateway.stderr.line(() => gateway.stderr.lines.filter((line) => line === "collected").length === 2);

      const alive = needles("live", keys.at(-1) as Uint8Array);
      const gone = new Map(keys.slice(0, -1).flatMap((each, index) => [...needles(`closed ${index}`, each)]));
      expect(gone.size).toBe(SESSIONS * 12);
      const { found } = searchMemory(gateway.process.pid as number, new Map([...gone, ...alive]));
      expect([...found].filter((name) => gone.has(name))).toEqual([]);
      expect([...alive.keys()].filter((name) => name.endsWith("bytes") && !found.has(name))).toEqual([]);
      live.abort();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);
});
