import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { deviceAddresses } from "../../src/gateway/device-addresses.ts";
import { portOwner } from "../../src/gateway/port-owner.ts";

describe.runIf(process.platform === "linux")("the owner of a port", () => {
  test("is named with its process, over TCP and over UDP, IPv4 and IPv6", async () => {
    for (const host of ["127.0.0.1", "::"]) {
      const tcp = createServer().listen(0, host);
      onTestFinished(() => void tcp.close());
      await once(tcp, "listening");
      expect(portOwner("tcp", (tcp.address() as AddressInfo).port)).toMatch(
        new RegExp(`^.+ \\(pid ${process.pid}\\)$`),
      );
    }
    const udp = createSocket("udp4").bind(0, "127.0.0.1");
    onTestFinished(() => void udp.close());
    await once(udp, "listening");
    expect(portOwner("udp", udp.address().port)).toMatch(new RegExp(`\\(pid ${process.pid}\\)$`));
    expect(portOwner("tcp", udp.address().port)).toBeUndefined();
  });

  test("is nobody where nothing listens, and where there is no /proc", () => {
    expect(portOwner("tcp", 1)).toBeUndefined();
    expect(portOwner("tcp", 1, "/nonexistent")).toBeUndefined();
  });
});

describe("addresses for devices", () => {
  const address = (text: string, family: "IPv4" | "IPv6", internal = false) =>
    ({ address: text, family, internal, netmask: "", mac: "", cidr: null, scopeid: 0 }) as never;
  const interfaces = {
    lo: [address("127.0.0.1", "IPv4", true), address("::1", "IPv6", true)],
    eth0: [address("2001:db8::7", "IPv6"), address("fe80::1", "IPv6"), address("192.168.1.5", "IPv4")],
    wlan0: [address("10.0.0.5", "IPv4")],
  };
  const hosts = (host: string): string[] =>
    deviceAddresses({ transport: "udp", host, port: 9000 }, interfaces).map((found) => found.host);

  test("are the host's own when it listens on all interfaces, IPv4 first, without loopback and link-local ones", () => {
    expect(deviceAddresses({ transport: "udp", host: "::", port: 9000 }, interfaces)).toEqual([
      { transport: "udp", host: "192.168.1.5", port: 9000 },
      { transport: "udp", host: "10.0.0.5", port: 9000 },
      { transport: "udp", host: "2001:db8::7", port: 9000 },
    ]);
    expect(hosts("0.0.0.0")).toEqual(["192.168.1.5", "10.0.0.5"]);
  });

  test("are the one that is listened on, or none where only this host can connect", () => {
    expect(hosts("192.168.1.5")).toEqual(["192.168.1.5"]);
    expect(hosts("127.0.0.1")).toEqual([]);
    expect(hosts("::1")).toEqual([]);
  });
});
