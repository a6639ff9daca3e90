import {
  AddressError,
  checkHostAndPort,
  formatAddress,
  parseConnectAddress,
  parseListenAddress,
} from "@usmp/transport";
import { describe, expect, test } from "vitest";
import { plainHost } from "../src/address.ts";

describe("an address to connect to", () => {
  test.each([
    ["192.168.1.20:9000", "192.168.1.20", 9000],
    ["gateway.local:1", "gateway.local", 1],
    ["my_gateway:65535", "my_gateway", 65535],
    ["[::1]:9000", "::1", 9000],
    ["[fe80::1%eth0]:9000", "fe80::1%eth0", 9000],
    ["example.org.:9000", "example.org.", 9000],
  ])("%s is read as its host and port", (text, host, port) => {
    expect(parseConnectAddress(text, "ADDRESS")).toEqual({ host, port });
  });

  test("takes the default port where one is allowed and none is given", () => {
    expect(parseConnectAddress("gateway", "ADDRESS", 9000)).toEqual({ host: "gateway", port: 9000 });
    expect(parseConnectAddress("[::1]", "ADDRESS", 9000)).toEqual({ host: "::1", port: 9000 });
  });

  test.each([
    ["gateway", "the port is missing", "gateway:9000"],
    ["[::1]", "the port is missing", "[::1]:9000"],
    [":9000", "the host is missing", "127.0.0.1:9000"],
    ["", "the host is missing", "127.0.0.1:9000"],
    ["gateway:", "the port is not a number from 1 to 65535", "9000"],
    ["gateway:0", "the port is not a number from 1 to 65535", "9000"],
    ["gateway:65536", "the port is not a number from 1 to 65535", "9000"],
    ["gateway:9000x", "the port is not a number from 1 to 65535", "9000"],
    ["gateway:-1", "the port is not a number from 1 to 65535", "9000"],
    ["gateway:1e3", "the port is not a number from 1 to 65535", "9000"],
    ["::1", "an IPv6 address needs brackets", "[::1]:9000"],
    ["::1:9000", "an IPv6 address needs brackets", "[::1]:9000"],
    ["fe80::1%eth0:9000", "an IPv6 address needs brackets", "[fe80::1%eth0]:9000"],
    ["a:b:9000", "more than one colon", "HOST:PORT"],
    ["[::1:9000", "the brackets are not closed", "[IPV6]:PORT"],
    ["[::1]9000", "the brackets are not closed", "[IPV6]:PORT"],
    ["[gateway]:9000", "brackets hold no IPv6 address", "HOST:PORT"],
    ["tcp://gateway:9000/x", "a URL is not an address", "write gateway:9000"],
    ["256.1.1.1:9000", "the host is no IPv4 address", "192.168.1.20"],
    ["1.2.3:9000", "the host is no IPv4 address", "192.168.1.20"],
    ["-gateway:9000", "the host is no host name", "letters, digits"],
    ["two words:9000", "the host is no host name", "letters, digits"],
    ["a..b:9000", "the host is no host name", "letters, digits"],
    [`${"a".repeat(64)}:9000`, "the host is no host name", "letters, digits"],
    [`${"a.".repeat(127)}a:9000`, "the host is no host name", "letters, digits"],
  ])("%j is refused with the field, the problem and a fix", (text, problem, fix) => {
    const error = errorOf(() => parseConnectAddress(text, "ADDRESS"));
    expect(error.message).toContain(`ADDRESS ${JSON.stringify(text)}: `);
    expect(error.message).toContain(problem);
    expect(error.fix).toContain(fix);
    expect(error).toMatchObject({ code: "invalid-address", field: "ADDRESS", value: text });
  });
});

describe("an address to listen on", () => {
  test.each([
    ["9000", undefined, 9000],
    ["0", undefined, 0],
    [":9000", undefined, 9000],
    ["*:9000", undefined, 9000],
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["[::]:9000", "::", 9000],
    ["localhost:9000", "localhost", 9000],
  ])("%s is read as its host and port", (text, host, port) => {
    expect(parseListenAddress(text, "--tcp")).toEqual({ host, port });
  });

  test.each([
    ["99999", "the port is not a number from 0 to 65535", "0 for a free one"],
    ["localhost", "the port is missing", "localhost:9000"],
    ["", "the port is missing", "write 9000"],
    ["999.0.0.1:9000", "the host is no IPv4 address", "192.168.1.20"],
  ])("%j is refused with the problem and a fix", (text, problem, fix) => {
    const error = errorOf(() => parseListenAddress(text, "--tcp"));
    expect(error.message).toContain(problem);
    expect(error.fix).toContain(fix);
  });
});

describe("a host and a port given apart", () => {
  test("pass when both are good, and without a host", () => {
    checkHostAndPort("gateway.local", 9000, "", 1);
    checkHostAndPort(undefined, 0, "tcp.", 0);
    checkHostAndPort("", 0, "tcp.", 0);
  });

  test.each([-1, 0, 65536, 1.5, Number.NaN])("are refused with port %s, which is named", (port) => {
    expect(errorOf(() => checkHostAndPort("gateway", port, "", 1))).toMatchObject({
      field: "port",
      value: String(port),
    });
  });

  test("are refused with a bad host, which is named", () => {
    expect(errorOf(() => checkHostAndPort("tcp://x", 9000, "udp.", 1))).toMatchObject({ field: "udp.host" });
  });
});

test("an address that is formatted parses back to itself", () => {
  for (const address of [
    { host: "::1", port: 9000 },
    { host: "10.0.0.1", port: 1 },
    { host: "gateway", port: 65535 },
  ]) {
    expect(parseConnectAddress(formatAddress(address), "x")).toEqual(address);
  }
});

test("only an IPv4-mapped address is shown as IPv4", () => {
  expect(plainHost("::ffff:10.1.2.3")).toBe("10.1.2.3");
  expect(plainHost("::ffff:0:1")).toBe("::ffff:0:1");
  expect(plainHost("::1")).toBe("::1");
});

function errorOf(action: () => unknown): AddressError {
  try {
    action();
  } catch (error) {
    if (error instanceof AddressError) return error;
    throw error;
  }
  throw new Error("expected an AddressError");
}
