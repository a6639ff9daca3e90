import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleChild } from "../../../crypto/test/memory/bundle-child.ts";
import { hasGcore, searchMemory } from "../../../crypto/test/memory/core-dump.ts";
import { clamp, needlesOf, unmask } from "../../../crypto/test/memory/known-keys.ts";
import { providers } from "../../../crypto/test/providers.ts";
import { connect, type Session } from "../../src/index.ts";
import { publicKeyOf, type RecordedSession, recordingCrypto } from "./recorded-client.ts";
import { TEST_PSK, type ToParent } from "./server-report.ts";

const canDump = hasGcore();
if (!canDump) {
  if (process.env["CI"] === "true") throw new Error("gcore is missing: install gdb, CI must run the core-dump proof");
  console.warn("skipped: gcore is missing, so no core dump can be searched for keys; install gdb");
}

const SESSIONS = 100;
const KEPT = 4;

describe.skipIf(!canDump)("a core dump of a server whose sessions have ended", () => {
  let directory: string;
  let program: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "usmp-server-memory-"));
    program = await bundleChild(new URL("./server-child.ts", import.meta.url), directory);
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each(providers.map(({ name }) => name))(
    "holds no private, shared or session key of 100 sessions over TCP and UDP (%s), and does hold those that are open",
    async (provider) => {
      const server = fork(program, [provider], { execArgv: ["--expose-gc"] });
      try {
        const { tcp, udp } = await nextMessage(server, "listening");
        const ended: RecordedSession[] = [];
        for (let i = 0; i < SESSIONS; i++) await liveAndEnd(await open(ended, i, { tcp, udp }), i);
        const open_: RecordedSession[] = [];
        const kept: Session[] = [];
        for (let i = 0; i < KEPT; i++) kept.push(await open(open_, i, { tcp, udp }));

        server.send("collect");
        const report = await nextMessage(server, "collected");
        expect(report.sessionsOpen).toBe(KEPT);
        const privateKeys = new Map(
          report.masked.map((masked) => unmask(masked, report.mask)).map((key) => [publicKeyOf(key), key]),
        );
        const gone = new Map<string, Uint8Array>();
        for (const [i, { serverPublic, secrets }] of ended.entries()) {
          const privateKey = privateKeys.get(serverPublic);
          if (privateKey === undefined) throw new Error("the server reported no private key for a session");
          const all = new Map([...secrets, ["private key", privateKey], ["clamped private key", clamp(privateKey)]]);
          for (const [name, bytes] of needlesOf(all, `ended ${i}:`)) gone.set(name, bytes);
        }
        const alive = new Map<string, Uint8Array>();
        for (const [i, { secrets }] of open_.entries()) {
          for (const [name, bytes] of needlesOf(secrets, `open ${i}:`)) alive.set(name, bytes);
        }
        const { found } = searchMemory(server.pid as number, new Map([...gone, ...alive]));

        expect([...found].filter((name) => gone.has(name))).toEqual([]);
        const sessionKeys = [...alive.keys()].filter((name) => name.endsWith("bytes") && !name.includes("shared"));
        expect(sessionKeys.filter((name) => !found.has(name))).toEqual([]);
        for (const session of kept) session.abort();
      } finally {
        server.kill("SIGKILL");
      }
    },
    120_000,
  );
});

/** Every second session goes over UDP. */
function open(recorded: RecordedSession[], index: number, ports: { tcp: number; udp: number }): Promise<Session> {
  const transport = index % 2 === 0 ? "tcp" : "udp";
  const crypto = recordingCrypto(recorded);
  return connect({ host: "127.0.0.1", port: ports[transport], transport, psk: TEST_PSK, crypto });
}

/** A message and its echo, a rekey for some, and an end: by this side, or by the server. */
async function liveAndEnd(session: Session, index: number): Promise<void> {
  await session.send(`message ${index}`);
  await session.receive();
  if (index % 10 === 0) await session.rekey();
  if (index % 4 < 2) await session.close();
  else {
    await session.send("end me");
    await session.closed;
  }
}

/** One message; fails when the child ends first. */
async function nextMessage<T extends ToParent["type"]>(
  child: ChildProcess,
  type: T,
): Promise<ToParent & { readonly type: T }> {
  const ended = new AbortController();
  child.once("exit", () => ended.abort(new Error("the server ended early; its stderr is above")));
  const [message] = (await once(child, "message", { signal: ended.signal })) as [ToParent];
  if (message.type !== type) throw new Error(`expected "${type}" from the server, got "${message.type}"`);
  return message as ToParent & { readonly type: T };
}
