import type { Session } from "usmp";
import { afterEach, describe, expect, test } from "vitest";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

const homes: TestHome[] = [];
const newHome = (): TestHome => {
  const home = new TestHome(undefined);
  homes.push(home);
  return home;
};
afterEach(async () => {
  for (const home of homes.splice(0)) await home.remove();
});

const ROUNDS = 200;
const idOf = (number: number): string =>
  `02:00:00:00:${(number >> 8).toString(16).padStart(2, "0")}:${(number & 255).toString(16).padStart(2, "0")}`;

describe.each(["tcp", "udp"] as const)("over %s", (transport) => {
  test(`a revoked device's session has ended within 100 ms in 99 of 100 cases, while ${ROUNDS} devices are connected`, async () => {
    const running = await TestGateway.open(newHome());
    const ids = Array.from({ length: ROUNDS }, (_, number) => idOf(number));
    const { devices } = await running.control.call("device.add", { devices: ids.map((id) => ({ id })) });
    const sessions: Session[] = [];
    for (const { id, psk } of devices) sessions.push(await running.device(id, psk, transport));
    const tookMs: number[] = [];
    for (const [index, session] of sessions.entries()) {
      const began = performance.now();
      const closed = session.closed.then(() => performance.now() - began);
      await running.control.call("device.revoke", { id: ids[index] as string });
      tookMs.push(await closed);
    }
    tookMs.sort((a, b) => a - b);
    const at = (share: number): number => tookMs[Math.ceil(share * ROUNDS) - 1] as number;
    console.log(
      `revoke to the device's BYE over ${transport}, ${ROUNDS} devices: p50 ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, worst ${at(1).toFixed(1)} ms`,
    );
    expect(at(0.99)).toBeLessThan(100);
  });

  test("nothing of a revoked device is heard any more, also what was on its way", async () => {
    const running = await TestGateway.open(newHome());
    const { psk } = await running.add(idOf(1));
    const device = await running.device(idOf(1), psk, transport);
    await device.send("before");
    await expect.poll(() => running.sessions.length).toBe(1);
    const session = running.sessions[0]?.session as Session;
    await expect.poll(() => running.textsOf(idOf(1))).toEqual(["before"]);
    const revoked = running.control.call("device.revoke", { id: idOf(1) });
    const sending = Array.from({ length: 20 }, (_, number) => device.send(`late ${number}`).catch(() => undefined));
    await revoked;
    expect(session.open).toBe(false);
    const heard = running.messages.length;
    expect(await session.closed).toEqual({ code: "dismissed", cause: "revoked" });
    await Promise.all(sending);
    expect(running.messages.length).toBe(heard);
  });
});
