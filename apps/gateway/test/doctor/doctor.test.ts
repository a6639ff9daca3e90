import { cryptoChoice } from "@usmp/crypto";
import { once } from "node:events";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { CheckName, Finding, System } from "../../src/doctor/check.ts";
import { type DoctorRequest, examine } from "../../src/doctor/doctor.ts";
import { throwawayId } from "../../src/doctor/path.ts";
import { TestGateway } from "../support/gateways.ts";
import { quietHost } from "../support/hosts.ts";
import { TestHome } from "../support/registries.ts";

const ID = "7a:d3:e6:a9:9b:17";

describe("doctor", () => {
  let home: TestHome;
  beforeEach(() => {
    home = new TestHome(undefined);
  });
  afterEach(() => home.remove());

  const run = (system: Partial<System> = {}, request: Partial<DoctorRequest> = {}): Promise<readonly Finding[]> =>
    examine({
      dataDirectory: home.directory,
      dataFlag: "",
      database: undefined,
      deviceId: undefined,
      version: "test",
      system: quietHost(system),
      ...request,
    });
  const of = (findings: readonly Finding[], check: CheckName): readonly Finding[] =>
    findings.filter((finding) => finding.check === check);

  test("a gateway that is well: the path is proven on both transports, and the throwaway device is gone", async () => {
    const gateway = await TestGateway.open(home);
    const findings = await run();
    expect(findings.filter(({ status }) => status === "problem")).toEqual([]);
    expect(of(findings, "path").map(({ status, says }) => [status, says.split(" ")[0]])).toEqual([
      ["ok", "tcp"],
      ["ok", "udp"],
    ]);
    expect(await gateway.all("device.list", {})).toEqual([]);
    await run();
    const tombstone = await gateway.gateway.registry.tombstone(throwawayId(home.directory));
    expect(tombstone?.generation).toBe(2);
  });

  test("it never uses a device's key: only the throwaway id connects", async () => {
    const gateway = await TestGateway.open(home);
    await gateway.add(ID);
    await run({}, { deviceId: ID });
    expect(new Set(gateway.sessions.map(({ session }) => session.deviceId))).toEqual(
      new Set([throwawayId(home.directory)]),
    );
  });

  test("the throwaway id is locally administered and unicast, and the same on one directory", () => {
    for (const directory of ["/a", "/b", "/c", "/d"]) {
      const id = throwawayId(directory);
      expect(Number.parseInt(id.slice(0, 2), 16) & 3).toBe(2);
      expect(throwawayId(directory)).toBe(id);
    }
  });

  test("what a killed doctor left behind is taken away first", async () => {
    const gateway = await TestGateway.open(home);
    await gateway.add(throwawayId(home.directory));
    expect(of(await run(), "path").every(({ status }) => status === "ok")).toBe(true);
    expect(await gateway.all("device.list", {})).toEqual([]);
  });

  test("without a gateway: that is the first line, and the rest is examined as far as it goes", async () => {
    await home.open();
    await home.close();
    const findings = await run();
    expect(findings[0]).toMatchObject({ check: "gateway", status: "problem", fix: ["usmp gateway"] });
    expect(of(findings, "database")[0]?.status).toBe("ok");
    expect(of(findings, "path")[0]?.status).toBe("not-checked");
  });

  test("in an empty directory nothing is a problem but that no gateway runs, and nothing is made there", async () => {
    const findings = await run();
    expect(findings.filter(({ status }) => status === "problem").map(({ check }) => check)).toEqual(["gateway"]);
    expect(of(findings, "database")[0]?.status).toBe("not-checked");
  });

  test.each([
    ["master", 0o644, "chmod 600"],
    ["usmp.db", 0o660, "chmod 600"],
  ])("%s of mode %o is named before what follows from it, with the command that mends it", async (name, mode, fix) => {
    await home.open();
    await home.close();
    chmodSync(join(home.directory, name), mode);
    const [first] = await run();
    expect(first).toMatchObject({ check: "files", status: "problem" });
    expect(first?.says).toContain(join(home.directory, name));
    expect(first?.fix[0]).toBe(`${fix} ${join(home.directory, name)}`);
  });

  test("a data directory that others may look into", async () => {
    chmodSync(home.directory, 0o755);
    expect((await run())[0]).toMatchObject({ check: "files", fix: [`chmod 700 ${home.directory}`] });
  });

  test("a missing master, a foreign master, a damaged and a newer database", async () => {
    const { registry } = await home.open();
    await registry.putSetting("x", "y");
    await home.close();
    const master = join(home.directory, "master");
    writeFileSync(master, `${"a1".repeat(32)}\n`);
    expect((await run())[0]).toMatchObject({ check: "database", status: "problem" });
    expect((await run())[0]?.says).toContain("belongs to master");
    rmSync(master);
    expect((await run())[0]).toMatchObject({ check: "master", status: "problem" });
    writeFileSync(master, "no digits\n", { mode: 0o600 });
    expect((await run())[0]?.says).toContain("does not hold 64 hex digits");
    rmSync(join(home.directory, "usmp.db-wal"), { force: true });
    writeFileSync(join(home.directory, "usmp.db"), "this is no database, whatever its name may say\n".repeat(200));
    const damaged = of(await run(), "database")[0];
    expect(damaged?.says).toContain("damaged");
    expect(damaged?.fix[0]).toMatch(/^mv .*usmp\.db .*usmp\.db\.damaged$/);
  });

  test("a sealed master is not read, and is well", async () => {
    writeFileSync(join(home.directory, "master"), '{"format":"usmp master, sealed 1"}\n', { mode: 0o600 });
    expect(of(await run(), "master")[0]).toMatchObject({ status: "ok" });
  });

  test("a taken port names its owner and another port", async () => {
    const server = createServer().listen(9000);
    onTestFinished(() => void server.close());
    await Promise.race([once(server, "listening"), once(server, "error")]);
    const [first] = of(await run({ portOwner: () => "nginx (pid 7)" }), "ports");
    expect(first?.says).toBe("TCP port 9000 is taken by nginx (pid 7)");
    expect(first?.fix[0]).toMatch(/^usmp gateway --tcp :90\d\d --udp :90\d\d/);
  });

  test("a gateway that listens on this host alone is told, with the flags that let the network in", async () => {
    const gateway = await TestGateway.open(home);
    const [ports] = of(await run(), "ports");
    expect(ports).toMatchObject({ status: "warning" });
    expect(ports?.fix[0]).toBe(
      `usmp gateway --tcp :${gateway.port("tcp")} --udp :${gateway.port("udp")}   # instead of the one that runs`,
    );
  });

  test("development mode, another version and an exposed master are told", async () => {
    await TestGateway.open(home, { development: true });
    const findings = await run({}, { version: "9.9" });
    expect(
      of(findings, "gateway")
        .map(({ says }) => says)
        .join("\n"),
    ).toMatch(/DEVELOPMENT MODE.*version test.*9\.9/s);
    expect(of(findings, "disk")[0]).toMatchObject({ status: "warning" });
    expect(findings.filter(({ status }) => status === "warning").at(-1)?.check).toBe("disk");
  });

  test("a clock in doubt", async () => {
    await TestGateway.open(home, { wallClock: home.time.wallClock });
    home.time.wall += 26 * 3_600_000;
    const [clock] = of(await run(), "clock");
    expect(clock?.says).toBe("the wall clock jumped by 1560 minutes: no grace ends until it is confirmed");
    expect(clock?.fix.at(-1)).toBe("usmp clock confirm");
    home.time.wall -= 26 * 3_600_000;
    expect(of(await run(), "clock")[0]?.status).toBe("ok");
  });

  test("Node 20 is past its end of life", async () => {
    expect(of(await run({ nodeVersion: "20.20.2" }), "versions")[0]?.status).toBe("warning");
    expect(of(await run(), "versions")[0]?.status).toBe("ok");
  });

  test("the cryptography in use, and why it is that", async () => {
    const { crypto, why } = cryptoChoice();
    expect(of(await run(), "versions").map(({ says }) => says)).toContain(`crypto: ${crypto.name} (${why})`);
  });

  test("a check that fails is a finding, and the others still run", async () => {
    await TestGateway.open(home);
    const findings = await run({
      interfaces: () => {
        throw new Error("no interfaces here");
      },
    });
    expect(of(findings, "ports")).toMatchObject([
      { status: "problem", says: "the check itself failed: no interfaces here" },
    ]);
    expect(of(findings, "path").length).toBe(2);
  });

  describe("of one device", () => {
    const about = async (): Promise<Finding | undefined> => of(await run({}, { deviceId: ID }), "device")[0];

    test("unknown; never here; refused, with the reason and the fix of why; connected; suspended; revoked", async () => {
      const gateway = await TestGateway.open(home);
      expect(await about()).toMatchObject({ status: "problem", fix: [`usmp device add ${ID}`] });
      const { psk } = await gateway.add(ID);
      expect((await about())?.says).toContain("nothing of it has ever arrived here");
      await gateway.refused(ID, Buffer.from(psk));
      expect(await about()).toMatchObject({ status: "problem" });
      expect((await about())?.says).toContain("TEXT form");
      const session = await gateway.device(ID, psk);
      await session.ping();
      expect(await about()).toMatchObject({ status: "ok" });
      await gateway.control.call("device.suspend", { id: ID });
      await session.closed;
      expect((await about())?.fix).toEqual([`usmp device resume ${ID}`]);
      await gateway.control.call("device.revoke", { id: ID });
      expect((await about())?.fix).toEqual([`usmp device delete ${ID}`, `usmp device add ${ID}`]);
    });

    test("without a gateway it is not checked", async () => {
      expect((await about())?.status).toBe("not-checked");
    });
  });
});
