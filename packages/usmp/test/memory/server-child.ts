import { randomBytes } from "node:crypto";
import { chooseCrypto } from "@usmp/crypto";
import type { CryptoProvider } from "@usmp/protocol";
import { letKeysGo } from "../../../crypto/test/memory/garbage.ts";
import { watchKeyGeneration } from "../../../crypto/test/memory/key-watch.ts";
import { listen } from "../../src/index.ts";
import { TEST_PSK, type ToParent } from "./server-report.ts";

/**
 * The server whose memory is searched: `node --expose-gc server-child.mjs node|noble|native`. It echoes, and ends every session that says
 * "end me". On "collect" it lets the garbage collector run and reports its private keys, masked when they were made.
 */
const mask = randomBytes(32);
const masked: string[] = [];

async function main(provider: CryptoProvider): Promise<void> {
  const crypto = watchKeyGeneration(provider, (privateKey) => {
    masked.push(Buffer.from(mask.map((byte, index) => byte ^ (privateKey[index] as number))).toString("hex"));
  });
  const server = await listen({
    tcp: "127.0.0.1:0",
    udp: "127.0.0.1:0",
    psk: TEST_PSK,
    crypto,
    onSession: async (session) => {
      for await (const message of session) {
        if (Buffer.from(message).toString() === "end me") void session.close();
        else await session.send(message);
      }
    },
  });
  process.on("message", async () => {
    await letKeysGo(crypto.name);
    tell({ type: "collected", mask: mask.toString("hex"), masked, sessionsOpen: server.sessions.size });
  });
  const portOf = (transport: string): number => server.addresses.find((one) => one.transport === transport)?.port ?? 0;
  tell({ type: "listening", tcp: portOf("tcp"), udp: portOf("udp") });
}

function tell(message: ToParent): void {
  process.send?.(message);
}

void main(chooseCrypto(process.argv[2]).crypto);
