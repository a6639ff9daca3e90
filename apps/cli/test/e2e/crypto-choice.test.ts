import { expect, test } from "vitest";
import { finished, TEST_KEY } from "./process.ts";

test("a wrong USMP_CRYPTO is a usage error that says what it may be", async () => {
  const words = ["send", "127.0.0.1:9", "hello", "--psk", TEST_KEY];
  const { code, err } = await finished(words, "", { USMP_CRYPTO: "openssl" });
  expect(code).toBe(2);
  expect(err).toContain('USMP_CRYPTO is "openssl": give node, native or noble, or leave it unset');
});

test.each(["node", "noble"])("USMP_CRYPTO=%s is what the doctor says, and why", async (name) => {
  const { out } = await finished(["doctor", "--json", "--data", "/nowhere"], "", { USMP_CRYPTO: name });
  const findings = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { says: string });
  expect(findings.map(({ says }) => says)).toContain(`crypto: ${name} (USMP_CRYPTO=${name})`);
});
