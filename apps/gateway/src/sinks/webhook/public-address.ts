import { BlockList, isIPv4 } from "node:net";

/** IPv4 addresses that are not of the public Internet: IANA's special-purpose registry (RFC 6890), and multicast (RFC 5771). */
const SPECIAL_IPV4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10", // shared by customers of a provider (RFC 6598)
  "127.0.0.0/8",
  "169.254.0.0/16", // link-local, clouds' metadata among it
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];

/** Within 2000::/3, which alone is given out as global unicast (RFC 4291 section 2.5.4). */
const SPECIAL_IPV6 = [
  "2001::/23", // IETF protocols; Teredo carries any IPv4 address (RFC 4380)
  "2001:db8::/32",
  "2002::/16", // 6to4 carries any IPv4 address (RFC 3056)
  "3fff::/20",
];

const specialIpv4 = listOf(SPECIAL_IPV4, "ipv4");
const specialIpv6 = listOf(SPECIAL_IPV6, "ipv6");
const globalIpv6 = listOf(["2000::/3"], "ipv6");
const ipv4Carriers: readonly BlockList[] = ["::ffff:0:0/96", "64:ff9b::/96"].map((range) => listOf([range], "ipv6"));

/**
 * Whether an address is one of the public Internet: not of this host, not of a network around it, nothing special. IPv6 addresses that carry
 * an IPv4 address (mapped, RFC 4291; NAT64, RFC 6052) are what that one is.
 */
export function isPublicAddress(address: string): boolean {
  const [bare = ""] = address.split("%");
  if (isIPv4(bare)) return !specialIpv4.check(bare, "ipv4");
  if (ipv4Carriers.some((carrier) => carrier.check(bare, "ipv6"))) return isPublicAddress(carriedIpv4(bare));
  return globalIpv6.check(bare, "ipv6") && !specialIpv6.check(bare, "ipv6");
}

/** The IPv4 address in the last four bytes of an IPv6 address. */
function carriedIpv4(address: string): string {
  // URL parsing writes every address in one form, hex groups alone: "[64:ff9b::7f00:1]".
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1).split(":");
  return groups
    .slice(-2)
    .map((group) => Number.parseInt(group || "0", 16))
    .flatMap((group) => [group >> 8, group & 0xff])
    .join(".");
}

function listOf(ranges: readonly string[], family: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = "", prefix] = range.split("/");
    list.addSubnet(network, Number(prefix), family);
  }
  return list;
}
