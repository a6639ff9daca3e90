import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openGateway } from "@usmp/gateway";
import { expect, onTestFinished, test } from "vitest";
import { run } from "../../src/program.ts";
import { packageVersion } from "../../src/version.ts";
import { virtualEnvironment } from "../virtual-environment.ts";

test.each([
  ["another version says so on standard error, and does its work", "9.9.9", 1],
  ["the same version says nothing", packageVersion(), 0],
])("a command and a gateway of %s", async (_, version, notices) => {
  const dataDirectory = mkdtempSync(join(tmpdir(), "usmp-versions-"));
  const gateway = await openGateway({
    dataDirectory,
    tcp: "127.0.0.1:0",
    database: undefined,
    master: { kind: "file", path: join(dataDirectory, "master") },
    surroundings: { variables: {}, askPassphrase: () => Promise.reject(new Error("none")) },
    development: false,
    estimateTextBits: () => 0,
    version,
  });
  onTestFinished(async () => {
    await gateway.close();
    rmSync(dataDirectory, { recursive: true });
  });
  const environment = virtualEnvironment();
  expect(await run(["device", "add", "--data", dataDirectory, "--json"], environment)).toBe(0);
  expect(environment.stdout.objects).toHaveLength(1);
  expect(environment.stderr.objects).toHaveLength(notices);
  for (const notice of environment.stderr.objects) {
    expect(notice).toMatchObject({ event: "notice", topic: "version" });
    expect(notice["message"]).toMatch(/the gateway is version 9\.9\.9, and this command is \S+; use/);
  }
});
