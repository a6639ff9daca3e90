import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { SnippetContext } from "../../src/enrol/snippets/context.ts";
import { SNIPPET_LANGUAGES, snippet } from "../../src/enrol/snippets.ts";

const TEST_KEY = "4f00c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
const context = { id: "7a:d3:e6:a9:9b:17", host: "192.168.1.10", port: 9000, transport: "tcp" } as const;
const headers = (folder: string): string =>
  fileURLToPath(new URL(`../fixtures/device-headers/${folder}`, import.meta.url));

const compilers = spawnSync("g++", ["--version"]).status === 0 && spawnSync("gcc", ["--version"]).status === 0;
if (!compilers && process.env["CI"] !== "true")
  console.warn("gcc and g++ are not installed: the snippets in C are not compiled");

/** What the compiler says of a program, against declarations written down from the field's headers; "" when it takes it. */
function compile(language: "arduino" | "esp-idf", program: string): string {
  const [compiler, standard, kind] =
    language === "arduino" ? ["g++", "-std=gnu++17", "c++"] : ["gcc", "-std=gnu17", "c"];
  const { status, stderr } = spawnSync(
    compiler,
    [
      "-fsyntax-only",
      "-Wall",
      "-Wextra",
      "-Werror",
      standard,
      "-I",
      headers(language),
      "-include",
      language === "arduino" ? "Arduino.h" : "stddef.h",
      "-x",
      kind,
      "-",
    ],
    { input: program, encoding: "utf8" },
  );
  return status === 0 ? "" : stderr;
}

describe.skipIf(!compilers && process.env["CI"] !== "true")(
  "programs in C compile against the published names and signatures",
  () => {
    const variants: readonly SnippetContext[] = (["tcp", "udp"] as const).flatMap((transport) => [
      { ...context, transport },
      { ...context, transport, plaintextKey: TEST_KEY },
    ]);
    test.each(
      (["arduino", "esp-idf"] as const).flatMap((language) => variants.map((variant) => [language, variant] as const)),
    )("%s %j", (language, variant) => expect(compile(language, snippet(language, variant))).toBe(""));

    test("a name that the field does not have is found", () => {
      expect(compile("esp-idf", snippet("esp-idf", context).replace("usmp_connect(", "usmp_open("))).toContain(
        "usmp_open",
      );
      expect(compile("arduino", snippet("arduino", context).replace("usmp.maintain", "usmp.loop"))).toContain("loop");
    });
  },
);

describe.each(SNIPPET_LANGUAGES)("%s", (language) => {
  test("reads its key at run time: the source has none", () => {
    const source = snippet(language, context);
    expect(source).not.toMatch(/[0-9a-f]{64}/i);
    expect(source).not.toContain("BENCH ONLY");
    expect(source).toContain(context.id);
    expect(source).toContain(context.host);
  });

  test("has a literal key only when asked to, and then says that it is for the bench alone", () => {
    const source = snippet(language, { ...context, plaintextKey: TEST_KEY });
    expect(source).toContain("BENCH ONLY");
    const digits = source.replaceAll(/0x|[\s,]/g, "");
    expect(digits).toContain(TEST_KEY);
  });

  test("names the command that tells the reason of a refusal", () => {
    expect(snippet(language, context)).toContain(`usmp why ${context.id}`);
  });
});
