import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PythonClient, type PythonProtocol, type PythonSession, pythonSdk } from "@usmp/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { postgresPrograms, startPostgres, type TestPostgres } from "../../../gateway/test/support/postgres.ts";
import { run } from "../../src/program.ts";
import { type Child, usmp } from "../e2e/process.ts";
import { virtualEnvironment } from "../virtual-environment.ts";

const sdk = pythonSdk();
const programs = postgresPrograms();
const ID = "02:00:00:00:00:01";
const UNKNOWN = "02:00:00:00:00:99";

interface Refused {
  readonly cause: string;
  readonly form?: string;
  readonly fix: readonly string[];
}

describe.runIf(sdk.available)("the Python SDK as a device of a running gateway", () => {
  let python: PythonClient;
  let postgres: TestPostgres | undefined;
  let directory: string;
  let gateway: Child;
  const ports: Record<PythonProtocol, number> = { tcp: 0, udp: 0 };

  beforeAll(async () => {
    python = await PythonClient.start();
    if (programs !== undefined) postgres = await startPostgres(programs);
  });
  afterAll(async () => {
    await python[Symbol.asyncDispose]();
    postgres?.remove();
  });

  /** What a command of the owner's prints under --json, without the log's time. */
  async function ask(...words: string[]): Promise<Record<string, unknown>[]> {
    const environment = virtualEnvironment();
    const code = await run([...words, "--json", "--data", directory], environment);
    expect({ code, err: environment.stderr.text }).toEqual({ code: 0, err: "" });
    return environment.stdout.objects;
  }

  async function enrol(...words: string[]): Promise<Buffer> {
    const [enrolled] = await ask("device", ...words);
    expect(enrolled).toMatchObject({ event: "enrolled", id: ID, psk: expect.stringMatching(/^[0-9a-f]{64}$/) });
    return Buffer.from(enrolled?.["psk"] as string, "hex");
  }

  function connect(protocol: PythonProtocol, psk: Uint8Array, id = ID, timeoutMs = 5_000): Promise<PythonSession> {
    const deviceId = Buffer.from(id.replaceAll(":", ""), "hex");
    return python.connect({ host: "127.0.0.1", port: ports[protocol], psk, protocol, deviceId, timeoutMs });
  }

  /** An attempt that must fail, and what `usmp why` says of it, first line first. */
  async function refused(protocol: PythonProtocol, psk: Uint8Array, id = ID): Promise<Refused> {
    const before = JSON.stringify(await ask("why", id, "--limit", "1"));
    await expect(connect(protocol, psk, id, 1_500)).rejects.toThrow();
    for (;;) {
      const now = await ask("why", id, "--limit", "1");
      if (JSON.stringify(now) !== before) return now[0] as unknown as Refused;
    }
  }

  const databases = ["SQLite", "PostgreSQL"] as const;
  describe.each(databases)("on %s", (database) => {
    beforeEach(async ({ skip }) => {
      if (database === "PostgreSQL" && postgres === undefined) skip();
      directory = mkdtempSync(join(tmpdir(), "usmp-gateway-"));
      const words = database === "PostgreSQL" ? ["--database", (postgres as TestPostgres).newDatabase()] : [];
      gateway = usmp([
        "gateway",
        "--data",
        directory,
        "--tcp",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
        "--echo",
        "--json",
        ...words,
      ]);
      for (const protocol of ["tcp", "udp"] as const) {
        const line = await gateway.stdout.line(
          (text) => text.includes('"listening"') && text.includes(`"${protocol}"`),
        );
        ports[protocol] = (JSON.parse(line) as { port: number }).port;
      }
    });
    afterEach(async () => {
      gateway.process.kill("SIGTERM");
      expect(await gateway.exit).toEqual({ code: 0, signal: null });
      rmSync(directory, { recursive: true });
    });

    test("is enrolled, connects over both transports, and the gateway names it and its key's generation", async () => {
      const psk = await enrol("add", ID, "--name", "pump", "--tag", "garden");
      for (const protocol of ["tcp", "udp"] as const) {
        const session = await connect(protocol, psk);
        await session.send(`hello over ${protocol}`);
        expect(Buffer.from(await session.receive()).toString()).toBe(`hello over ${protocol}`);
        const line = await gateway.stdout.line(
          (text) => text.includes('"session"') && text.includes(session.sessionId),
        );
        expect(JSON.parse(line)).toMatchObject({ event: "session", device: ID, generation: 1, name: "pump" });
        const [shown] = await ask("device", "show", ID);
        expect(shown).toMatchObject({ event: "device", state: "active", online: true, transport: protocol });
        await session.bye();
      }
    });

    test.each<PythonProtocol>(["tcp", "udp"])(
      "rotates with overlap while it is connected over %s",
      async (protocol) => {
        const old = await enrol("add", ID);
        const before = await connect(protocol, old);
        const fresh = await enrol("rotate", ID, "--grace", "1h");
        await before.send("the old key is good still");
        await before.receive();
        await expect
          .poll(async () => (await ask("device", "list"))[0])
          .toMatchObject({ state: "rotating", generation: 2, provenGeneration: 1 });
        const again = await connect(protocol, old);
        const renewed = await connect(protocol, fresh);
        const began = performance.now();
        await again.closed;
        expect(performance.now() - began).toBeLessThan(1_000);
        await renewed.send("the new key is good");
        await renewed.receive();
        expect(await refused(protocol, old)).toMatchObject({ cause: "old-generation", holds: 1, current: 2 });
        await expect
          .poll(async () => (await ask("device", "list"))[0])
          .toMatchObject({ state: "active", provenGeneration: 2 });
      },
    );

    test.each<PythonProtocol>(["tcp", "udp"])(
      "is revoked, and its key is compromised, while it is connected over %s",
      async (protocol) => {
        const first = await enrol("add", ID);
        const compromised = await connect(protocol, first);
        const second = await enrol("rotate", ID, "--compromised");
        expect((await compromised.closed).type).toBe("ConnectionClosedError");
        expect(await refused(protocol, first)).toMatchObject({ cause: "old-generation", holds: 1 });
        const session = await connect(protocol, second);
        await session.ping();
        const [revoked] = await ask("device", "revoke", ID);
        expect(revoked).toMatchObject({ event: "device", state: "revoked" });
        expect((await session.closed).type).toBe("ConnectionClosedError");
        expect(await refused(protocol, second)).toMatchObject({ cause: "revoked", held: true });
      },
    );

    test.each<PythonProtocol>(["tcp", "udp"])(
      "is refused over %s with the right cause, and what the fix says lets it in",
      async (protocol) => {
        const psk = await enrol("add", ID);
        const hex = psk.toString("hex");
        await ask("device", "suspend", ID);
        const suspended = await refused(protocol, psk);
        expect(suspended).toMatchObject({ cause: "suspended" });
        await follow(suspended);
        expect(await refused(protocol, Buffer.alloc(32, 9), UNKNOWN)).toMatchObject({ cause: "unknown-device" });
        expect(await ask("device", "seen")).toMatchObject([{ event: "seen", id: UNKNOWN, transport: protocol }]);
        expect(await refused(protocol, Buffer.alloc(32, 9))).toMatchObject({ cause: "wrong-key", form: null });
        const forms: readonly [Buffer, object][] = [
          [Buffer.from(hex), { cause: "wrong-key", form: "text" }],
          [Buffer.from(hex.toUpperCase()), { cause: "wrong-key", form: "upper-case-text" }],
          [Buffer.concat([psk, Buffer.from("\n")]), { cause: "wrong-key", form: "trailing-newline" }],
          [Buffer.from(`${hex}\n`), { cause: "wrong-key", form: "trailing-newline" }],
          [Buffer.from("usmp-dev-psk-change-me-before-prod"), { cause: "development-key" }],
        ];
        for (const [held, cause] of forms) expect(await refused(protocol, held)).toMatchObject(cause);
        const session = await connect(protocol, psk);
        await session.ping();
      },
    );

    /** Runs the first fix, as it is printed. */
    async function follow({ fix }: Refused): Promise<void> {
      const words = (fix[0] as string).split(" ");
      expect(words.slice(-2)).toEqual(["--data", directory]);
      await ask(...words.slice(1, -2));
    }
  });
});
