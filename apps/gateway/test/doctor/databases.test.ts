import { describe, expect, test } from "vitest";
import { examine } from "../../src/doctor/doctor.ts";
import { TestGateway } from "../support/gateways.ts";
import { quietHost } from "../support/hosts.ts";
import { onEachDatabase, type TestHome } from "../support/registries.ts";

onEachDatabase("doctor", (newHome) => {
  const look = (home: TestHome, database = home.database) =>
    examine({
      dataDirectory: home.directory,
      dataFlag: "",
      database,
      deviceId: undefined,
      version: "test",
      system: quietHost(),
    });

  describe("of a gateway", () => {
    test("that runs: its database, and the whole path", async () => {
      const home = newHome();
      await TestGateway.open(home);
      const findings = await look(home);
      const database = findings.find(({ check }) => check === "database");
      expect(database).toMatchObject({ status: "ok" });
      expect(database?.says).toContain(home.database === undefined ? "sqlite" : "postgres");
      expect(findings.filter(({ check }) => check === "path").map(({ status }) => status)).toEqual(["ok", "ok"]);
      expect(JSON.stringify(findings)).not.toMatch(/postgres:\/\/[^/"]*:[^/"]*@/);
    });

    test("that does not run: its database is opened as a start would, and nothing in it changes", async () => {
      const home = newHome();
      const { registry } = await home.open();
      const rows = (await registry.audit.verify()) as { rows: number };
      await home.close();
      const findings = await look(home);
      expect(findings.find(({ check }) => check === "database")).toMatchObject({ status: "ok" });
      expect(findings[0]).toMatchObject({ check: "gateway", status: "problem" });
      const again = await home.open();
      // One more: that of this start.
      expect(await again.registry.audit.verify()).toMatchObject({ ok: true, rows: rows.rows + 1 });
    });
  });
});
