import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runSeed, SeededRandom } from "@usmp/testkit";
import { connect, type Session } from "usmp";
import { expect, onTestFinished, test } from "vitest";
import { connectControl } from "../../src/control/client.ts";
import { keyOf } from "../support/gateways.ts";
import { onEachDatabase, type TestHome } from "../support/registries.ts";

/** `npm run long -- crash` makes fifty of them. */
const ROUNDS = Number(process.env["USMP_CRASH_ROUNDS"] ?? 8);
const LONGEST_MS = 400;
const CHILD = fileURLToPath(new URL("./gateway-child.mjs", import.meta.url));
const LOOPBACK = "127.0.0.1";

type Ports = { readonly tcp: number; readonly udp: number };

/** Sends 0, 1, 2, … each until it is acknowledged, in one session after the other, and notes how far that came. */
class CountingDevice {
  readonly id: string;
  readonly transport: "tcp" | "udp";
  acknowledged = 0;
  #psk = "";

  constructor(id: string, transport: "tcp" | "udp") {
    this.id = id;
    this.transport = transport;
  }

  async enrol(home: TestHome): Promise<void> {
    const control = await connectControl(home.directory);
    const { devices } = await control.call("device.add", { devices: [{ id: this.id }] });
    this.#psk = devices[0]?.psk ?? "";
    control.close();
  }

  /** Until its gateway is gone. */
  async talk(ports: Ports, gone: AbortSignal): Promise<void> {
    const session = await connect({
      host: LOOPBACK,
      port: ports[this.transport],
      transport: this.transport,
      deviceId: this.id,
      psk: keyOf(this.#psk),
      signal: gone,
    }).catch(() => undefined);
    if (session === undefined) return;
    gone.addEventListener("abort", () => session.abort(), { once: true });
    try {
      for (;;) await this.#sendNext(session);
    } catch {
      // The gateway was killed.
    }
  }

  /** Over TCP several go at once: the PONG behind them is the word for all. */
  async #sendNext(session: Session): Promise<void> {
    const count = this.transport === "tcp" ? 5 : 1;
    const first = this.acknowledged;
    for (let i = 0; i < count; i++) await session.send(`${first + i}`);
    await session.confirm();
    this.acknowledged += count;
  }
}

onEachDatabase("a gateway in durable operation that is killed under load", (newHome) => {
  test(`has every message that it acknowledged, in order, after ${ROUNDS} rounds of kill -9`, async () => {
    const home = newHome();
    const random = new SeededRandom(runSeed());
    const devices = [
      new CountingDevice("02:00:00:00:00:01", "udp"),
      new CountingDevice("02:00:00:00:00:02", "udp"),
      new CountingDevice("02:00:00:00:00:03", "tcp"),
    ];
    for (let round = 0; round < ROUNDS; round++) {
      const { child, ports } = await start(home);
      if (round === 0) for (const device of devices) await device.enrol(home);
      const gone = new AbortController();
      const talking = devices.map((device) => device.talk(ports, gone.signal));
      await new Promise((resolve) => setTimeout(resolve, random.between(20, LONGEST_MS)));
      child.kill("SIGKILL");
      await once(child, "close");
      gone.abort();
      await Promise.all(talking);
    }
    await start(home);
    const control = await connectControl(home.directory);
    for (const { id, acknowledged } of devices) {
      const texts: string[] = [];
      for await (const item of control.stream("message.log", { id })) if ("text" in item) texts.push(item.text ?? "");
      judge(id, texts.map(Number), acknowledged);
    }
    control.close();
  }, 900_000);
});

/**
 * What was acknowledged is there once; what was on its way when the gateway died may be there as well, and then comes again when its device
 * sends it again: so numbers go on by one, or back to what was not acknowledged.
 */
function judge(id: string, numbers: readonly number[], acknowledged: number): void {
  expect(acknowledged, id).toBeGreaterThan(ROUNDS);
  let next = 0;
  for (const number of numbers) {
    expect(number, `${id}: a gap before ${number}`).toBeLessThanOrEqual(next);
    expect(number, `${id}: ${number} again`).toBeGreaterThanOrEqual(next - 5);
    next = number + 1;
  }
  expect(new Set(numbers).size, id).toBeGreaterThanOrEqual(acknowledged);
  for (let number = 0; number < acknowledged; number++)
    if (!numbers.includes(number)) expect.unreachable(`${id}: ${number}`);
}

async function start(home: TestHome): Promise<{ readonly child: ChildProcess; readonly ports: Ports }> {
  const child = spawn(process.execPath, [CHILD, home.directory, home.database ?? "-"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return { child, ports: JSON.parse(line) as Ports };
}
