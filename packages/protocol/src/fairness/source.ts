const GROUPS = 8;
/** A host has, or can take, any address of its /64 (RFC 4291 section 2.5.4; WireGuard's limiter counts so as well). */
const PREFIX_GROUPS = 4;

/** Whom a peer's address is counted to: an IPv4 address, or the /64 of an IPv6 address; anything else is its own source. */
export function sourceOf(host: string): string {
  if (!host.includes(":")) return host;
  const bare = host.replace(/%.*$/, "");
  const [head = "", tail] = bare.split("::");
  const groups = groupsOf(head);
  if (tail !== undefined) {
    const after = groupsOf(tail);
    while (groups.length + after.length < GROUPS) groups.push("0");
    groups.push(...after);
  }
  return `${groups.slice(0, PREFIX_GROUPS).map(withoutLeadingZeros).join(":")}::/64`;
}

function groupsOf(text: string): string[] {
  if (text === "") return [];
  // An IPv4 address at the end takes the place of two groups, which lie behind the prefix.
  return text.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [group]));
}

function withoutLeadingZeros(group: string): string {
  return group.toLowerCase().replace(/^0+(?=.)/, "");
}
