import { instant } from "@usmp/protocol";
import { type Clock, systemClock } from "usmp";
import { expect, onTestFinished, test } from "vitest";
import { keyOf, TestGateway } from "../support/gateways.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";

/** The system's clock with a part that a test moves on by hand, for what only asks for the time. */
class ShiftedClock implements Clock {
  #shift = 0;

  now(): ReturnType<Clock["now"]> {
    return instant(systemClock.now() + this.#shift);
  }

  schedule(at: ReturnType<Clock["now"]>, alarm: () => void): () => void {
    return systemClock.schedule(instant(at - this.#shift), alarm);
  }

  skip(milliseconds: number): void {
    this.#shift += milliseconds;
  }
}

const programs = postgresPrograms();

test.skipIf(programs === undefined)(
  "when the database is gone, sessions live on, new devices are let in for 60 s and then nobody, until it is back",
  async () => {
    const postgres = await startPostgres(programs as string);
    onTestFinished(() => postgres.remove());
    const home = new TestHome(postgres);
    onTestFinished(() => home.remove());
    const clock = new ShiftedClock();
    const running = await TestGateway.open(home, { clock, udp: undefined });
    const { psk } = await running.add(ID);
    const session = await running.device(ID, psk);
    await session.ping();
    postgres.stop();

    // The registry notices by its next check, within 5 s; the copy in memory is young still.
    const meanwhile = await running.device(ID, psk);
    await meanwhile.ping();
    await expect(running.control.call("device.add", { devices: [{}] })).rejects.toMatchObject({ code: "database" });

    clock.skip(30_000);
    const later = await running.device(ID, psk);
    await later.ping();
    clock.skip(31_000);
    await later.ping();
    expect(await running.refused(ID, psk)).toMatchObject({ cause: "registry-stale" });
    await later.ping();
    expect(later.open).toBe(true);
    expect(running.gateway.registry.ageMs).toBeGreaterThan(60_000);

    postgres.start();
    await expect.poll(() => running.gateway.registry.ageMs, { timeout: 20_000 }).toBeLessThan(10_000);
    using key = keyOf(psk);
    const back = await running.device(ID, key.expose());
    await back.ping();
  },
);
