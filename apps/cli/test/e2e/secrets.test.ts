import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "usmp";
import { expect, test } from "vitest";
import { MasterSecret } from "../../../gateway/src/master/master-secret.ts";
import { hasGcore, searchMemory } from "../../../../packages/crypto/test/memory/core-dump.ts";
import { needlesOf } from "../../../../packages/crypto/test/memory/known-keys.ts";
import { type RecordedSession, recordingCrypto } from "../../../../packages/usmp/test/memory/recorded-client.ts";
import { GatewayProcess, newDirectory } from "./gateway-process.ts";

const canDump = hasGcore();
if (!canDump) {
  if (process.env["CI"] === "true") throw new Error("gcore is missing: install gdb, CI must run the core-dump proof");
  console.warn("skipped: gcore is missing, so no core dump can be searched for keys; install gdb");
}

const IMPORTED = "8e1f5bc4d27390a6eb41c85d7f9e2036b5a4dc1896fe730b42c95a817d3e60f1"; // a test key
const SESSIONS = 40;
const KEPT = 3;

test("nothing that the gateway prints or stores holds a secret, and its memory none of an ended session", async () => {
  const here = newDirectory();
  writeFileSync(join(here, "imported.key"), `${IMPORTED}\n`, { mode: 0o600 });
  writeFileSync(join(here, "passphrase"), "a test passphrase, not secret\n", { mode: 0o600 });
  const gateway = await GatewayProcess.start();
  const master = Buffer.from(readFileSync(join(gateway.data, "master"), "utf8").trim(), "hex");
  const subkeys = new MasterSecret(new Secret(master));
  const secrets = new Map<string, Uint8Array>([["master", master]]);
  for (const label of ["derive", "seal", "audit", "backup"] as const)
    secrets.set(`subkey ${label}`, subkeys.subkey(label).expose());

  const ended: RecordedSession[] = [];
  const kept: RecordedSession[] = [];
  const imported = { id: "02:00:00:00:00:0a", psk: IMPORTED };
  await gateway.must(["device", "add", imported.id, "--key-file", join(here, "imported.key")]);
  const devices = [imported];
  for (let index = 0; index < 4; index++) devices.push(await gateway.enrol(["--name", `device ${index}`]));
  const rotated = await gateway.must(["device", "rotate", devices[1]?.id ?? ""]);
  devices.push(rotated[0] as unknown as (typeof devices)[number]);
  for (const [index, { psk }] of devices.entries())
    secrets.set(`key ${index}`, Buffer.from(psk.replace("hex:", ""), "hex"));

  for (let index = 0; index < SESSIONS; index++) {
    const device = devices[index % devices.length] as (typeof devices)[number];
    if (index >= devices.length && device === devices[1]) continue; // its key was replaced by the rotation
    const session = await gateway.connect(
      { ...device, psk: device.psk.replace("hex:", "") },
      index % 2 === 0 ? "tcp" : "udp",
      { crypto: recordingCrypto(ended) },
    );
    await session.send(`message ${index}`);
    await session.close();
  }
  const stranger = { id: "02:00:00:00:00:ee", psk: "ab".repeat(32) };
  await expect(gateway.connect(stranger, "tcp")).rejects.toThrow();
  await expect(gateway.connect({ id: devices[2]?.id ?? "", psk: stranger.psk }, "tcp")).rejects.toThrow();
  for (const words of [
    ["device", "list"],
    ["device", "show", imported.id],
    ["why"],
    ["audit", "verify"],
    ["audit", "export"],
    ["doctor"],
  ])
    await gateway.run(words);
  await gateway.must(["backup", join(here, "fleet.backup")], { USMP_PASSPHRASE_FILE: join(here, "passphrase") });

  const needles = needlesOf(secrets, "stored:");
  for (const [index, { secrets: of }] of ended.entries())
    for (const [name, bytes] of needlesOf(of, `ended ${index}:`)) needles.set(name, bytes);
  const texts = [...needles].map(
    ([name, bytes]) =>
      [
        name,
        bytes,
        Buffer.from(bytes)
          .toString("base64")
          .replace(/.{2}=*$/, ""),
      ] as const,
  );
  const inspectBytes = (where: string, content: Buffer): void => {
    for (const [name, bytes, base64] of texts) {
      if (content.includes(bytes) || (bytes.length === 16 && content.includes(base64)))
        expect.unreachable(`${where} holds ${name}`);
    }
  };
  if (canDump) {
    const open: RecordedSession[] = [];
    const live = [];
    for (let index = 0; index < KEPT; index++)
      live.push(
        await gateway.connect(devices[index + 2] as (typeof devices)[number], "tcp", { crypto: recordingCrypto(open) }),
      );
    for (const session of live) await session.ping();
    kept.push(...open);
    const sought = new Map<string, Uint8Array>();
    for (const [index, { secrets: of }] of ended.entries())
      for (const [name, bytes] of needlesOf(of, `ended ${index}:`)) sought.set(name, bytes);
    for (const [index, { secrets: of }] of kept.entries())
      for (const [name, bytes] of needlesOf(of, `open ${index}:`)) sought.set(name, bytes);
    const { found } = searchMemory(gateway.child.process.pid as number, sought);
    expect([...found].filter((name) => name.startsWith("ended"))).toEqual([]);
    // The search itself works: keys of sessions that are open are there.
    expect([...found].filter((name) => /open \d: client-to-server key.*bytes/.test(name)).length).toBeGreaterThan(0);
    for (const session of live) session.abort();
  }
  await gateway.stop();

  for (const path of filesUnder(gateway.data))
    if (path !== join(gateway.data, "master")) inspectBytes(path, readFileSync(path));
  inspectBytes("the backup", readFileSync(join(here, "fleet.backup")));
  inspectBytes("what was printed", Buffer.from(gateway.said.join("\n")));
  // The search finds what is there: the master's own file.
  expect(() => inspectBytes("master", readFileSync(join(gateway.data, "master")))).toThrow();
}, 300_000);

function filesUnder(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
}
