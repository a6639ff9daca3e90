import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../../src/program.ts";
import { framesOf, type RecordedSession, sessions } from "../inspect/vectors.ts";
import { virtualEnvironment } from "../virtual-environment.ts";

const [session] = sessions as readonly [RecordedSession];
const ping = session.session_frames.find(({ type }) => type === "PING")?.frame as string;

let folder: string;
let transcript: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "usmp-inspect-"));
  transcript = join(folder, "transcript.txt");
  await writeFile(
    transcript,
    framesOf(session)
      .map(({ from, frame }) => `${from} ${frame}\n`)
      .join(""),
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function inspect(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const environment = virtualEnvironment();
  const code = await run(["inspect", ...words], environment);
  return { code, out: environment.stdout.text, err: environment.stderr.text };
}

/** Texts of the recorded messages that are texts: they must never be read without a key. */
const texts = ["hello", "world", "after rekey, from the client"];

describe("a recorded conversation", () => {
  test("with the PSK: both proofs are verified, the payload stays closed, and the output says why", async () => {
    const { code, out } = await inspect(transcript, "--psk", session.psk);
    expect(code).toBe(0);
    expect(out).toContain("ok       client's proof: made with this PSK over what came before");
    expect(out).toContain("ok       server's proof: made with this PSK over what came before");
    expect(out).toContain("proofs: 2 verified, 0 wrong");
    expect(out).toMatch(/payload: stays closed: .*a PSK cannot open recorded traffic \(forward secrecy\)/);
    expect(out).not.toContain("plaintext");
    for (const text of texts) expect(out).not.toContain(text);
  });

  test("with a wrong PSK the exit code is 1", async () => {
    const { code, out } = await inspect(transcript, "--psk", `hex:${"11".repeat(32)}`);
    expect(code).toBe(1);
    expect(out).toContain("FAILED   client's proof");
    expect(out).toContain("proofs: 0 verified, 2 wrong");
  });

  test("with an ephemeral key the texts are read, across the rekey", async () => {
    const { code, out } = await inspect(transcript, "--key", `server:${session.server_private}`);
    expect(code).toBe(0);
    for (const text of texts) expect(out).toContain(`bytes  ${text}`);
    expect(out).toContain(`all ${framesOf(session).length - 4} sealed frames opened`);
  });

  test("no key is printed, whichever was given", async () => {
    const given = [session.psk, session.key_c2s, session.key_s2c, session.client_private];
    const { out, err } = await inspect(transcript, "--psk", session.psk, "--key", session.key_c2s + session.key_s2c);
    const { out: other, err: otherError } = await inspect(transcript, "--key", `client:${session.client_private}`);
    for (const key of given) expect(out + err + other + otherError).not.toContain(key);
  });

  test("a weak PSK may be used: recordings are what they are", async () => {
    expect((await inspect(transcript, "--psk", "usmp-dev-psk-change-me-before-prod")).out).toContain(
      "0 verified, 2 wrong",
    );
  });
});

describe("a frame", () => {
  test("in hex is explained field by field, each check by its name", async () => {
    const { code, out } = await inspect(ping);
    expect(code).toBe(0);
    for (const name of ["magic", "version", "type", "seq", "length", "crc", "nonce.seq", "nonce.session", "tag"]) {
      expect(out).toMatch(new RegExp(`^ +\\d+ {2}${name.replace(".", "\\.")} `, "m"));
    }
    for (const name of [
      "header",
      "magic",
      "version",
      "length",
      "complete",
      "nothing behind",
      "crc",
      "type",
      "nonce seq",
    ]) {
      expect(out).toContain(`  ok       ${name}: `);
    }
  });

  const damaged = ping.slice(0, -1) + (ping.endsWith("0") ? "1" : "0");

  test("with a wrong CRC ends with exit code 1, the checks behind it skipped", async () => {
    const { code, out } = await inspect(damaged, "--key", session.key_c2s + session.key_s2c);
    expect(code).toBe(1);
    expect(out).toContain("FAILED   crc: found 0x");
    expect(out).toContain("a receiver stops here, before any cryptography");
    expect(out).not.toContain("opened with");
  });
});

describe("what is no recording", () => {
  test("bytes that are no frame are explained as such, with exit code 1", async () => {
    const path = join(folder, "noise.bin");
    await writeFile(path, Buffer.alloc(100, 0xee));
    const { code, out } = await inspect(path);
    expect(code).toBe(1);
    expect(out).toContain("FAILED   magic: not 0xABCD");
  });

  test("an empty file", async () => {
    const path = join(folder, "empty");
    await writeFile(path, "");
    expect(await inspect(path)).toEqual({ code: 1, out: "nothing to explain: the recording is empty\n", err: "" });
  });

  test("text that is none names the line", async () => {
    const path = join(folder, "notes.txt");
    await writeFile(path, `client ${ping}\nDear diary\n`);
    const { code, err } = await inspect(path);
    expect(code).toBe(1);
    expect(err).toMatch(/^usmp: bad-recording: .*line 2 has neither hex digits nor a direction/);
  });

  test("a name that is neither hex nor a file, a directory, and a key of no form: exit code 2", async () => {
    for (const words of [[join(folder, "missing")], [folder], [ping, "--key", "secret-of-this-test"]]) {
      const { code, out, err } = await inspect(...words);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).not.toContain("secret-of-this-test");
    }
  });
});
