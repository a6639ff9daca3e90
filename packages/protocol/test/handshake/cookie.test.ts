import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { Secret } from "../../src/crypto/secret.ts";
import { CookieJar } from "../../src/handshake/cookie.ts";
import type { Hello } from "../../src/wire/message.ts";
import { after, filled, START } from "../support/fixtures.ts";

const hello: Hello = { deviceId: filled(6, 1), publicKey: filled(32, 2), cookie: undefined };
const WHERE = "198.51.100.7:40001";

function verifies(jar: CookieJar, cookie: Uint8Array, atMs: number, from = WHERE, asked: Hello = hello): boolean {
  return jar.verify(from, { ...asked, cookie }, after(atMs));
}

describe("a cookie", () => {
  const jar = new CookieJar(defaultCrypto(), START);
  const cookie = jar.issue(WHERE, hello, START);

  it("is 16 bytes, and good where it was issued", () => {
    expect(cookie).toHaveLength(16);
    expect(verifies(jar, cookie, 0)).toBe(true);
  });

  it("is bound to the address, the port, the device id and the public key", () => {
    expect(verifies(jar, cookie, 0, "198.51.100.8:40001")).toBe(false);
    expect(verifies(jar, cookie, 0, "198.51.100.7:40002")).toBe(false);
    expect(verifies(jar, cookie, 0, WHERE, { ...hello, deviceId: filled(6, 9) })).toBe(false);
    expect(verifies(jar, cookie, 0, WHERE, { ...hello, publicKey: filled(32, 9) })).toBe(false);
  });

  it("is wrong with any bit changed, and from another server", () => {
    for (let bit = 0; bit < 128; bit++) {
      const changed = cookie.slice();
      changed[bit >>> 3] = (changed[bit >>> 3] as number) ^ (1 << (bit & 7));
      expect(verifies(jar, changed, 0)).toBe(false);
    }
    expect(verifies(new CookieJar(defaultCrypto(), START), cookie, 0)).toBe(false);
  });
});

describe("a cookie lives 30 to 60 seconds:", () => {
  it.each([
    { issuedAt: 0, last: 59_999 },
    { issuedAt: 29_999, last: 59_999 },
    { issuedAt: 30_000, last: 89_999 },
    { issuedAt: 45_000, last: 89_999 },
  ])("issued at $issuedAt ms it is good until $last ms", ({ issuedAt, last }) => {
    for (const [at, good] of [
      [last, true],
      [last + 1, false],
    ] as const) {
      const jar = new CookieJar(defaultCrypto(), START);
      const cookie = jar.issue(WHERE, hello, after(issuedAt));
      // The jar rotates when it is asked: off its grid, so that a late rotation cannot lengthen a life.
      for (let t = issuedAt; t < at; t += 7_001) verifies(jar, cookie, t);
      expect(verifies(jar, cookie, at)).toBe(good);
    }
  });

  it("also when nobody asked in between, so that no secret outlives its time", () => {
    const jar = new CookieJar(defaultCrypto(), START);
    const cookie = jar.issue(WHERE, hello, after(29_999));
    expect(verifies(jar, cookie, 60_000)).toBe(false);
    expect(verifies(jar, cookie, 3_600_000)).toBe(false);
  });

  it("and a pause does not end one that is young enough", () => {
    const jar = new CookieJar(defaultCrypto(), START);
    const cookie = jar.issue(WHERE, hello, after(10_000));
    expect(verifies(jar, cookie, 40_000)).toBe(true);
  });
});

describe("jars that share their secrets", () => {
  const secrets = [1, 2, 3].map((byte) => filled(32, byte));
  const share = (jar: CookieJar, current: number, atMs: number): void =>
    jar.share(new Secret(secrets[current] as Uint8Array), new Secret(secrets[current - 1] as Uint8Array), after(atMs));

  it("verify what any of them issued, for as long as one alone would", () => {
    const [one, other] = [new CookieJar(defaultCrypto(), START), new CookieJar(defaultCrypto(), after(7_000))];
    for (const jar of [one, other]) share(jar, 1, 10_000);
    const cookie = one.issue(WHERE, hello, after(39_999));
    expect(verifies(other, cookie, 39_999)).toBe(true);
    for (const jar of [one, other]) share(jar, 2, 40_000);
    expect(verifies(other, cookie, 69_999)).toBe(true);
    expect(verifies(one, other.issue(WHERE, hello, after(40_001)), 40_001)).toBe(true);
    for (const jar of [one, other])
      jar.share(new Secret(filled(32, 9)), new Secret(secrets[2] as Uint8Array), after(70_000));
    expect(verifies(other, cookie, 70_000)).toBe(false);
  });

  it("go on with secrets of their own when no new ones come, and no cookie outlives its minute by more than the second of grace", () => {
    const jar = new CookieJar(defaultCrypto(), START);
    share(jar, 1, 0);
    const cookie = jar.issue(WHERE, hello, START);
    expect(verifies(jar, cookie, 30_999)).toBe(true);
    expect(verifies(jar, cookie, 31_000)).toBe(true);
    expect(verifies(jar, cookie, 61_000)).toBe(false);
    const other = new CookieJar(defaultCrypto(), START);
    share(other, 1, 0);
    const own = jar.issue(WHERE, hello, after(61_000));
    expect(verifies(other, own, 61_000)).toBe(false);
  });

  it("wipe the secrets that they had", () => {
    const [current, previous] = [new Secret(filled(32, 1)), new Secret(filled(32, 2))];
    const jar = new CookieJar(defaultCrypto(), START);
    jar.share(current, previous, START);
    share(jar, 1, 30_000);
    expect([current.wiped, previous.wiped]).toEqual([true, true]);
  });
});

it("a wiped jar issues nothing: no cookie can be made under a zero key", () => {
  const jar = new CookieJar(defaultCrypto(), START);
  jar.wipe();
  expect(() => jar.issue(WHERE, hello, START)).toThrow(expect.objectContaining({ code: "secret-wiped" }));
});
