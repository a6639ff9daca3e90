import { expect, it } from "vitest";
import { sourceOf } from "../../src/fairness/source.ts";

it.each([
  ["198.51.100.7", "198.51.100.7"],
  ["memory", "memory"],
])("%s is its own source", (host, source) => {
  expect(sourceOf(host)).toBe(source);
});

it.each([
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:DB8:0000:0a02:ffff::1", "2001:db8:0:a02::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["64:ff9b::192.0.2.33", "64:ff9b:0:0::/64"],
  ["1:2:3:4:5:6:192.0.2.33", "1:2:3:4::/64"],
  ["::2:3:4:5:6:7:8", "0:2:3:4::/64"],
])("%s counts to %s", (host, source) => {
  expect(sourceOf(host)).toBe(source);
});
