import { describe, expect, test } from "vitest";
import type { DoctorContext, Finding, System } from "../../src/doctor/check.ts";
import { firewall } from "../../src/doctor/firewall.ts";
import { quietHost } from "../support/hosts.ts";

async function look(
  system: Partial<System>,
  addresses?: { transport: "tcp" | "udp"; host: string; port: number }[],
): Promise<Finding> {
  const status = addresses === undefined ? undefined : ({ addresses } as unknown as DoctorContext["status"]);
  const findings = await firewall.run({ system: quietHost(system), status } as unknown as DoctorContext);
  return findings[0] as Finding;
}

describe("hints on the firewall", () => {
  test("ufw that lets one port in and not the other", async () => {
    const readText = (path: string): string | undefined =>
      path.endsWith("ufw.conf")
        ? "LOGLEVEL=low\nENABLED=yes\n"
        : "### tuple ### allow tcp 9000 0.0.0.0/0 any 0.0.0.0/0 in\n";
    const finding = await look({ readText });
    expect(finding).toMatchObject({ status: "warning", fix: ["sudo ufw allow 9000/udp"] });
    expect((await look({ readText }, [{ transport: "tcp", host: "::", port: 9000 }])).status).toBe("ok");
  });

  test("ufw whose rules only root reads", async () => {
    const finding = await look({ readText: (path) => (path.endsWith("ufw.conf") ? "ENABLED=yes" : undefined) });
    expect(finding.fix).toEqual(["sudo ufw allow 9000/tcp", "sudo ufw allow 9000/udp"]);
  });

  test("firewalld", async () => {
    const output = (file: string, words: readonly string[]): string | undefined =>
      file === "firewall-cmd" ? (words[0] === "--state" ? "running\n" : "22/tcp 9000/tcp\n") : undefined;
    const finding = await look({ output });
    expect(finding.fix).toEqual(["sudo firewall-cmd --permanent --add-port=9000/udp", "sudo firewall-cmd --reload"]);
  });

  test("nftables that drops what no rule names, and one whose rules are hidden", async () => {
    const rules =
      "table inet filter {\n chain input {\n type filter hook input priority 0; policy drop;\n tcp dport 9000 accept\n }\n}";
    const tcp = { transport: "tcp", host: "::", port: 9000 } as const;
    const other = { transport: "udp", host: "::", port: 9001 } as const;
    expect((await look({ output: (file) => (file === "nft" ? rules : undefined) }, [tcp])).status).toBe("ok");
    expect((await look({ output: (file) => (file === "nft" ? rules : undefined) }, [tcp, other])).says).toContain(
      "udp 9001",
    );
    expect((await look({ output: () => undefined })).status).toBe("not-checked");
    expect((await look({})).status).toBe("ok");
  });

  test("a gateway on loopback needs none; other systems are not looked at", async () => {
    expect((await look({}, [{ transport: "tcp", host: "127.0.0.1", port: 9000 }])).says).toBe(
      "no port is open to the network",
    );
    expect((await look({ platform: "darwin" })).status).toBe("not-checked");
  });
});
