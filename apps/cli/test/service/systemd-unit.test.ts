import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { whyUnreadable } from "../../src/service/readable.ts";
import { type UnitParts, UNIT_NAME, unitText } from "../../src/service/systemd-unit.ts";

const SYSTEM: UnitParts = {
  scope: "system",
  node: process.execPath,
  program: "/opt/usmp/apps/cli/bin/usmp.mjs",
  data: "/var/lib/usmp",
  config: "/etc/usmp/gateway.yaml",
  masterCredential: "/etc/usmp/master",
  lowPorts: false,
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "usmp-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const present = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!present)
  console.log("systemd-analyze is absent: the unit is not checked by systemd's own parser. Run: npm run test:setup");

function written(parts: UnitParts): string {
  const path = join(folder, UNIT_NAME);
  writeFileSync(path, unitText(parts));
  return path;
}

describe.runIf(present || process.env["CI"] === "true")("systemd itself", () => {
  test.each<[string, UnitParts]>([
    ["the system's unit", SYSTEM],
    ["one with low ports and without credential", { ...SYSTEM, lowPorts: true, masterCredential: undefined }],
    ["a user's unit", { ...SYSTEM, scope: "user", masterCredential: undefined, data: "/home/ada/.local/share/usmp" }],
    ["one with blanks and specials in its paths", { ...SYSTEM, config: '/etc/my "usmp" 100%/$HOME\\x.yaml' }],
  ])("has nothing to say against %s", (_, parts) => {
    const words = parts.scope === "user" ? ["--user"] : [];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", [...words, "verify", "--man=no", written(parts)], {
      encoding: "utf8",
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
    });
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });

  test("rates the system's exposure 2 or less of 10", () => {
    const analysis = ["security", "--offline=true", "--no-pager", "--threshold=20", written(SYSTEM)];
    const text = execFileSync("systemd-analyze", analysis, { encoding: "utf8" });
    expect(text).toMatch(/Overall exposure level for usmp-gateway\.service: [01]\.\d OK/);
  });
});

describe("the text", () => {
  test("hands the master secret over as a credential, and no word of it", () => {
    const text = unitText(SYSTEM);
    expect(text).toContain("\nLoadCredential=master:/etc/usmp/master\n");
    expect(text).toMatch(
      /^ExecStart=\S+ \S+ gateway --data \/var\/lib\/usmp --config \/etc\/usmp\/gateway\.yaml --master-file %d\/master$/m,
    );
  });

  test("quotes what systemd would take for something else", () => {
    expect(unitText({ ...SYSTEM, config: '/e/a "b" 5%/$X' })).toContain(' --config "/e/a \\"b\\" 5%%/$$X" ');
  });

  test("gives no capability unless ports below 1024 are asked for", () => {
    expect(unitText(SYSTEM)).toContain("\nCapabilityBoundingSet=\nAmbientCapabilities=\n");
    expect(unitText({ ...SYSTEM, lowPorts: true })).toContain("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n");
  });

  test("a user's unit asks for nothing that only the system may grant", () => {
    const text = unitText({ ...SYSTEM, scope: "user", masterCredential: undefined });
    expect(text).not.toMatch(/DynamicUser|Protect|Capability|network-online/);
    expect(text).toContain("\nNoNewPrivileges=yes\n");
    expect(text).toContain("\nWantedBy=default.target\n");
  });
});

describe("what a user of the service's own could not run", () => {
  test.each([
    ["/root/.nvm/node", /lies in \/root/],
    ["/home/ada/usmp/usmp.mjs", /lies in \/home/],
  ])("%s", (path, why) => {
    expect(whyUnreadable(path)).toMatch(why);
  });

  test("a file in a directory that is its owner's alone, and one that is not for others", () => {
    chmodSync(folder, 0o755);
    const inner = join(folder, "inner");
    mkdirSync(inner, { mode: 0o700 });
    const file = join(inner, "usmp.mjs");
    writeFileSync(file, "", { mode: 0o644 });
    expect(whyUnreadable(file)).toBe(`others may not enter ${inner}`);
    chmodSync(inner, 0o755);
    expect(whyUnreadable(file)).toBeUndefined();
    chmodSync(file, 0o600);
    expect(whyUnreadable(file)).toBe("others may not read it");
  });
});
