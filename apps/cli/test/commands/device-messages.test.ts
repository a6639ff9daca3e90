import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import { connect, type Session } from "usmp";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";
import { begin, type Running } from "./running.ts";

const ID = "02:00:00:00:00:01";
const ABSENT = "02:00:00:00:00:02";

let data: string;
let gateway: Running;
let device: Session;

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), "usmp-gateway-"));
  gateway = begin(["gateway", "--data", data, "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json"]);
  const line = await gateway.environment.stdout.line((text) => text.includes('"listening"') && text.includes('"tcp"'));
  const { host, port } = JSON.parse(line) as { host: string; port: number };
  // The control socket answers once both are there.
  await gateway.environment.stdout.line((text) => text.includes('"listening"') && text.includes('"udp"'));
  const [added] = (await ask("device", "add", ID)).objects;
  await ask("device", "add", ABSENT);
  const psk = new Secret(Buffer.from(String(added?.["psk"]), "hex"));
  device = await connect({ host, port, psk, deviceId: ID });
});
afterEach(async () => {
  await device.close();
  gateway.environment.stop();
  await gateway.done;
  rmSync(data, { recursive: true });
});

async function ask(
  ...words: string[]
): Promise<{ code: number; objects: Record<string, unknown>[]; out: string; err: string }> {
  return askWith("", ...words, "--json");
}

async function askWith(
  input: string | Buffer,
  ...words: string[]
): Promise<{ code: number; objects: Record<string, unknown>[]; out: string; err: string }> {
  const environment = virtualEnvironment();
  environment.stdin.end(input);
  const code = await run([...words, "--data", data], environment);
  const { stdout, stderr } = environment;
  return { code, objects: words.includes("--json") ? stdout.objects : [], out: stdout.text, err: stderr.text };
}

const received = async (): Promise<string> => Buffer.from((await device.receive()) ?? []).toString("latin1");

describe("device send", () => {
  test("delivers text, hex, base64, and standard input as it is", async () => {
    await ask("device", "send", ID, "valve open");
    expect(await received()).toBe("valve open");
    await ask("device", "send", ID, "CA fe\n01", "--hex");
    expect(await received()).toBe("\xca\xfe\x01");
    await ask("device", "send", ID, "AAEC", "--base64");
    expect(await received()).toBe("\x00\x01\x02");
    expect((await askWith(Buffer.from([0, 255, 10]), "device", "send", ID, "-")).code).toBe(0);
    expect(await received()).toBe("\x00\xff\n");
    expect((await askWith("ff 00\n", "device", "send", ID, "-", "--hex")).code).toBe(0);
    expect(await received()).toBe("\xff\x00");
  });

  test("--wait reports each state and ends with 0 when the device has it", async () => {
    const { code, objects } = await ask("device", "send", ID, "now", "--wait");
    expect(code).toBe(0);
    expect(objects.at(-1)).toMatchObject({ event: "outbound", state: "confirmed", device: ID, bytes: 3 });
    expect(await received()).toBe("now");
  });

  test("--wait ends with 1 when it expires or is cancelled", async () => {
    expect((await ask("device", "send", ABSENT, "too late", "--ttl", "1s", "--wait")).objects.at(-1)).toMatchObject({
      state: "expired",
    });
    const waiting = askWith("", "device", "send", ABSENT, "never mind", "--wait");
    await expect.poll(async () => (await ask("device", "queue", ABSENT)).objects.length).toBe(1);
    const [queued] = (await ask("device", "queue", ABSENT)).objects;
    expect(await ask("device", "cancel", String(queued?.["message"]))).toMatchObject({
      code: 0,
      objects: [{ event: "outbound", state: "cancelled" }],
    });
    const { code, out } = await waiting;
    expect(code).toBe(1);
    expect(out).toMatch(/outbound +\d+ to 02:00:00:00:00:02 is queued, at most until .*\n.* is cancelled\n/);
  });

  test("--key makes one message of two tries", async () => {
    const [one] = (await ask("device", "send", ID, "once", "--key", "order-7")).objects;
    const [two] = (await ask("device", "send", ID, "once", "--key", "order-7")).objects;
    expect(two?.["message"]).toBe(one?.["message"]);
    expect(await received()).toBe("once");
  });

  test("says what is wrong with a message, and queues nothing", async () => {
    const refused = async (...words: string[]): Promise<{ code: number; err: string }> =>
      askWith("", "device", "send", ...words);
    expect(await refused(ID, "abc", "--hex")).toMatchObject({ code: 2, err: expect.stringContaining("not in hex") });
    expect(await refused(ID, "abc", "--base64")).toMatchObject({
      code: 2,
      err: expect.stringContaining("not in base64"),
    });
    expect(await refused(ID, "x".repeat(1_809))).toMatchObject({
      code: 2,
      err: expect.stringContaining("at most 1808"),
    });
    expect(await refused(ID, "x", "--ttl", "soon")).toMatchObject({ code: 2, err: expect.stringContaining("--ttl") });
    expect(await refused("02:00:00:00:00:77", "x")).toMatchObject({
      code: 1,
      err: expect.stringContaining("device add"),
    });
    expect((await askWith("x".repeat(70_000), "device", "send", ID, "-")).code).toBe(2);
    expect((await ask("device", "queue")).objects).toEqual([]);
  });
});

describe("device queue and follow", () => {
  test("show what waits, what became of it, and what is not known", async () => {
    expect((await askWith("", "device", "queue")).out).toBe("nothing waits\n");
    const [sent] = (await ask("device", "send", ABSENT, "later")).objects;
    const number = String(sent?.["message"]);
    const table = (await askWith("", "device", "queue", ABSENT)).out.split("\n");
    expect(table[0]).toMatch(/^number +device +state +bytes +queued +expires +sent by$/);
    expect(table[1]).toContain(`${number.padEnd(8)}  ${ABSENT}  queued     5 `);
    await ask("device", "cancel", number);
    expect(await ask("device", "follow", number)).toMatchObject({ code: 1, objects: [{ state: "cancelled" }] });
    expect((await ask("device", "queue", ABSENT, "--state", "cancelled")).objects.at(-1)).toMatchObject({
      message: sent?.["message"],
    });
    expect(await askWith("", "device", "cancel", number)).toMatchObject({
      code: 1,
      err: expect.stringContaining("is cancelled since"),
    });
    expect(await askWith("", "device", "follow", "999999999")).toMatchObject({
      code: 1,
      err: expect.stringContaining("no message 999999999"),
    });
    expect((await askWith("", "device", "follow", "zero")).code).toBe(2);
  });
});
