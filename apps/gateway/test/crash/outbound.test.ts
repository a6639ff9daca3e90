import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Secret } from "@usmp/protocol";
import { runSeed, SeededRandom } from "@usmp/testkit";
import { connect, type Session } from "usmp";
import { expect, test } from "vitest";
import { keyOf, TestGateway } from "../support/gateways.ts";
import { openMessagesSoon } from "../support/message-storages.ts";
import { onEachDatabase, type TestHome } from "../support/registries.ts";

/** `npm run long -- crash` makes fifty of them. */
const ROUNDS = Number(process.env["USMP_CRASH_ROUNDS"] ?? 8);
const LONGEST_MS = 500;
const CHILD = fileURLToPath(new URL("./outbound-child.mjs", import.meta.url));

const DEVICES = (["tcp", "tcp", "udp", "udp"] as const).map((transport, index) => ({
  transport,
  id: `02:00:00:00:00:0${index + 1}`,
  psk: `hex:${Buffer.from(`not-secret test key ${index}`.padEnd(32, "-")).toString("hex")}`,
}));
type TestDevice = (typeof DEVICES)[number];

interface ChildLine {
  readonly opened?: { readonly tcp: number; readonly udp: number };
  readonly queued?: string;
  readonly message?: number | string;
  readonly failed?: string;
  readonly code?: string;
}

onEachDatabase("kill -9 of a gateway that queues and drains", (newHome) => {
  test(`loses nothing that was promised, keeps the order, and marks what comes twice, in ${ROUNDS} rounds`, async () => {
    const home = newHome();
    const random = new SeededRandom(runSeed());
    const promised = new Map<string, number>();
    const received = new Map(DEVICES.map(({ id }) => [id, [] as string[]]));
    const next = Object.fromEntries(DEVICES.map(({ id }) => [id, 0]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const { queued, message } of await runAndKill(home, random, received, next)) {
        if (queued !== undefined) promised.set(queued, message as number);
      }
      // Whatever the child had begun with, its next number is higher than any that may be on the disk.
      for (const id of Object.keys(next)) next[id] = (round + 1) * 100_000;
    }
    await drain(home, received);
    await judge(home, promised, received);
  }, 600_000);
});

/** Starts the child, connects devices at different moments, and kills it. Answers what it said. */
async function runAndKill(
  home: TestHome,
  random: SeededRandom,
  received: ReadonlyMap<string, string[]>,
  next: Readonly<Record<string, number>>,
): Promise<readonly ChildLine[]> {
  const words = [CHILD, home.directory, home.database ?? "-", JSON.stringify(DEVICES), JSON.stringify(next)];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: ChildLine[] = [];
  let partial = "";
  const sessions: Promise<unknown>[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const complete = (partial + text).split("\n");
    partial = complete.pop() ?? "";
    for (const line of complete) {
      const said = JSON.parse(line) as ChildLine;
      lines.push(said);
      if (said.opened === undefined) continue;
      setTimeout(() => child.kill("SIGKILL"), random.between(20, LONGEST_MS));
      for (const device of DEVICES) {
        const { opened } = said;
        const atMs = random.pick([0, 0, random.between(0, LONGEST_MS)]);
        sessions.push(
          new Promise((resolve) => setTimeout(resolve, atMs))
            .then(() => open(device, opened[device.transport]))
            .then((session) => readAll(session, received.get(device.id) as string[]))
            .catch(() => {}), // it was killed during the handshake
        );
      }
    }
  });
  await once(child, "close");
  expect(lines.filter(({ failed }) => failed !== undefined)).toEqual([]);
  expect(child.signalCode).toBe("SIGKILL");
  await Promise.all(sessions);
  return lines;
}

function open({ id, psk, transport }: TestDevice, port: number): Promise<Session> {
  const key = new Secret(Buffer.from(psk.slice(4), "hex"));
  return connect({
    host: "127.0.0.1",
    port,
    transport,
    psk: key,
    deviceId: id,
    handshakeTimeoutMs: 700,
    idleTimeoutMs: 700,
    keepaliveMs: 200,
  });
}

/** Until the session ends: over UDP a killed gateway shows by its silence. */
async function readAll(session: Session, into: string[]): Promise<void> {
  for await (const message of session) into.push(Buffer.from(message).toString());
}

/** A gateway that nobody kills: all devices are there until nothing waits. */
async function drain(home: TestHome, received: ReadonlyMap<string, string[]>): Promise<void> {
  const running = await openSoon(home);
  for (const { id, psk, transport } of DEVICES) {
    const session = await running.device(id, keyOf(psk).expose(), transport);
    void readAll(session, received.get(id) as string[]);
  }
  await expect.poll(async () => (await running.all("message.queue", {})).length, { timeout: 120_000 }).toBe(0);
  await running.gateway.close();
}

async function openSoon(home: TestHome): Promise<TestGateway> {
  for (let tries = 0; ; tries++) {
    try {
      return await TestGateway.open(home, { messages: { drainPerSecond: 2_000 } });
    } catch (error) {
      if (tries === 100 || (error as { code?: string }).code !== "already-running") throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function judge(
  home: TestHome,
  promised: ReadonlyMap<string, number>,
  received: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  const storage = await openMessagesSoon(home);
  const rows = await storage.db
    .selectFrom("messages_out")
    .select(["id", "state", "maybe_twice", "attempts", "data"])
    .execute();
  await storage.close();
  const byText = new Map(rows.map((row) => [Buffer.from(row.data).toString(), row]));
  let [twice, marked] = [0, 0];
  for (const [id, texts] of received) {
    const firsts = [...new Set(texts)].map((text) => Number(text.split(" ")[1]));
    expect(firsts, `order at ${id}`).toEqual([...firsts].sort((a, b) => a - b));
    for (const text of new Set(texts)) {
      const times = texts.filter((each) => each === text).length;
      const row = byText.get(text);
      expect(row, `${text} was delivered and is not in the queue`).toBeDefined();
      expect(times, text).toBeLessThanOrEqual(row?.attempts ?? 0);
      if (times > 1) {
        twice++;
        expect(row?.maybe_twice, `${text} came ${times} times`).toBe(1);
      }
    }
  }
  const arrived = new Set([...received.values()].flat());
  for (const [text, message] of promised) {
    expect(byText.get(text), `${text} was promised as ${message}`).toMatchObject({ id: message, state: "confirmed" });
    expect(arrived.has(text), `${text} was promised and confirmed, and never came`).toBe(true);
  }
  marked = rows.filter(({ maybe_twice }) => maybe_twice === 1).length;
  console.log(`${promised.size} messages promised; ${marked} marked as maybe twice, ${twice} came twice`);
  expect(promised.size).toBeGreaterThan(ROUNDS * DEVICES.length);
}
