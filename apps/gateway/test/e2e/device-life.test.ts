import { expect, test } from "vitest";
import { bytesOf, TestGateway } from "../support/gateways.ts";
import { onEachDatabase } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const OTHER = "02:00:00:00:00:02";
const UNKNOWN = "02:00:00:00:00:99";
const TRANSPORTS = ["tcp", "udp"] as const;
const text = (key: string): Buffer => Buffer.from(key);

onEachDatabase("a device", (newHome) => {
  test.each(TRANSPORTS)(
    "that was enrolled gets its session over %s, and its gateway knows it by its key",
    async (transport) => {
      const running = await TestGateway.open(newHome());
      const { psk, generation } = await running.add(ID, { name: "pump", tags: ["garden"] });
      expect({ psk, generation }).toEqual({ psk: expect.stringMatching(/^[0-9a-f]{64}$/), generation: 1 });
      const device = await running.device(ID, psk, transport);
      await device.send("hello");
      await expect.poll(() => running.sessions.length).toBe(1);
      const [{ generation: proven } = expect.unreachable()] = running.sessions;
      await expect.poll(() => running.textsOf(ID)).toEqual(["hello"]);
      expect(proven).toBe(1);
      const [line] = await running.all("device.list", {});
      expect(line).toMatchObject({ id: ID, name: "pump", tags: ["garden"], state: "active", online: true, transport });
      await expect.poll(async () => (await running.control.call("device.show", { id: ID })).provenGeneration).toBe(1);
    },
  );

  test.each(TRANSPORTS)(
    "rotates with overlap over %s: the old key is good until the new one is proven",
    async (transport) => {
      const running = await TestGateway.open(newHome());
      const old = await running.add(ID);
      const before = await running.device(ID, old.psk, transport);
      const fresh = await running.rotate(ID, { graceMs: 3_600_000 });
      expect(fresh).toMatchObject({ id: ID, generation: 2, graceEndsAt: expect.stringMatching(/Z$/) });
      expect(before.open).toBe(true);
      const stillOld = await running.device(ID, old.psk, transport);
      await stillOld.ping();
      await expect
        .poll(() => running.control.call("device.show", { id: ID }))
        .toMatchObject({ state: "rotating", generation: 2, provenGeneration: 1, previousGeneration: 1 });
      const began = performance.now();
      const renewed = await running.device(ID, fresh.psk, transport);
      await stillOld.closed;
      expect(performance.now() - began).toBeLessThan(1_000);
      await renewed.ping();
      await expect
        .poll(() => running.control.call("device.show", { id: ID }))
        .toMatchObject({ state: "active", generation: 2, provenGeneration: 2, previousGeneration: null });
      expect(await running.refused(ID, old.psk, transport)).toMatchObject({
        cause: "old-generation",
        holds: 1,
        current: 2,
      });
    },
  );

  test("loses its old key, and the session made with it, when the grace ends", async () => {
    const running = await TestGateway.open(newHome());
    const old = await running.add(ID);
    const session = await running.device(ID, old.psk);
    await running.rotate(ID, { graceMs: 500 });
    const began = performance.now();
    expect(await session.closed).toEqual({ code: "closed-by-peer" });
    const tookMs = performance.now() - began;
    expect(tookMs).toBeGreaterThan(400);
    expect(tookMs).toBeLessThan(500 + 1_500);
    expect(await running.refused(ID, old.psk)).toMatchObject({ cause: "old-generation", holds: 1, current: 2 });
  });

  test.each(TRANSPORTS)(
    "whose key is compromised has no grace, and its session over %s ends at once",
    async (transport) => {
      const running = await TestGateway.open(newHome());
      const old = await running.add(ID);
      const session = await running.device(ID, old.psk, transport);
      const fresh = await running.rotate(ID, { compromised: true });
      expect(await session.closed).toEqual({ code: "closed-by-peer" });
      expect(running.sessions[0]?.session.open).toBe(false);
      expect(await running.refused(ID, old.psk, transport)).toMatchObject({ cause: "old-generation", holds: 1 });
      await (await running.device(ID, fresh.psk, transport)).ping();
    },
  );

  test("can be rotated with all others, and who cannot is named", async () => {
    const running = await TestGateway.open(newHome());
    await running.add(ID);
    await running.add(OTHER);
    await running.add(UNKNOWN);
    await running.rotate(OTHER);
    await running.control.call("device.revoke", { id: UNKNOWN });
    const rotated = await running.all("device.rotate", { all: true });
    expect(rotated).toEqual([
      expect.objectContaining({ id: ID, generation: 2 }),
      { id: OTHER, skipped: expect.stringContaining("has not proven generation 2") },
      { id: UNKNOWN, skipped: expect.stringContaining("revoked") },
    ]);
  });

  test.each(TRANSPORTS)(
    "that is revoked loses its session over %s, and every way back but a new key",
    async (transport) => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const session = await running.device(ID, psk, transport);
      await session.ping();
      expect(await running.control.call("device.revoke", { id: ID })).toMatchObject({
        state: "revoked",
        sessionsEnded: 1,
      });
      expect(await session.closed).toEqual({ code: "closed-by-peer" });
      expect(await running.refused(ID, psk, transport)).toMatchObject({ cause: "revoked", held: true });
      await running.control.call("device.delete", { id: ID });
      expect(await running.refused(ID, psk, transport)).toMatchObject({
        cause: "unknown-device",
        deletedAt: expect.any(String),
      });
      const again = await running.add(ID);
      expect(again.generation).toBe(2);
      expect(again.psk).not.toBe(psk);
      expect(await running.refused(ID, psk, transport)).toMatchObject({
        cause: "old-generation",
        holds: 1,
        current: 2,
      });
      await (await running.device(ID, again.psk, transport)).ping();
    },
  );

  test("that is suspended is refused until it is resumed", async () => {
    const running = await TestGateway.open(newHome());
    const { psk } = await running.add(ID);
    const session = await running.device(ID, psk);
    await running.control.call("device.suspend", { id: ID });
    expect(await session.closed).toEqual({ code: "closed-by-peer" });
    expect(await running.refused(ID, psk)).toMatchObject({ cause: "suspended", held: true });
    expect(await running.refused(ID, Buffer.alloc(32, 1))).toMatchObject({ cause: "suspended", held: false });
    await running.control.call("device.resume", { id: ID });
    await (await running.device(ID, psk)).ping();
  });

  test("is renamed, tagged and found by its tag", async () => {
    const running = await TestGateway.open(newHome());
    await running.add(ID);
    await running.add(OTHER);
    await running.control.call("device.rename", { id: ID, name: "Pumpe Süd" });
    await running.control.call("device.tag", { id: ID, add: ["garden", "water"], remove: [] });
    await running.control.call("device.tag", { id: ID, add: [], remove: ["water"] });
    expect(await running.all("device.list", { tag: "garden" })).toMatchObject([
      { id: ID, name: "Pumpe Süd", tags: ["garden"] },
    ]);
    expect(await running.all("device.list", { state: "revoked" })).toEqual([]);
  });
});

onEachDatabase("a refused device", (newHome) => {
  test.each(TRANSPORTS)(
    "that nobody enrolled is named as that over %s, and appears among those seen",
    async (transport) => {
      const running = await TestGateway.open(newHome());
      expect(await running.refused(UNKNOWN, Buffer.alloc(32, 1), transport)).toMatchObject({
        cause: "unknown-device",
        device: UNKNOWN,
        deletedAt: null,
        fix: [`usmp device add ${UNKNOWN}`],
      });
      expect(await running.all("device.seen", {})).toMatchObject([
        { id: UNKNOWN, transport, source: "127.0.0.1", attempts: 1 },
      ]);
      const { psk } = await running.add(UNKNOWN);
      await (await running.device(UNKNOWN, psk, transport)).ping();
      expect(await running.all("device.seen", {})).toEqual([]);
    },
  );

  test.each([
    ["another key", (): Buffer => Buffer.alloc(32, 7), { cause: "wrong-key", form: null, tried: true }],
    ["the text form", (psk: string) => text(psk), { cause: "wrong-key", form: "text" }],
    [
      "the text form in capitals",
      (psk: string) => text(psk.toUpperCase()),
      { cause: "wrong-key", form: "upper-case-text" },
    ],
    [
      "its bytes and a line end",
      (psk: string) => Buffer.concat([bytesOf(psk), text("\n")]),
      { cause: "wrong-key", form: "trailing-newline" },
    ],
    ["its text and a line end", (psk: string) => text(`${psk}\n`), { cause: "wrong-key", form: "trailing-newline" }],
    [
      "its text and a DOS line end",
      (psk: string) => text(`${psk}\r\n`),
      { cause: "wrong-key", form: "trailing-newline" },
    ],
    ["the development key", () => text("usmp-dev-psk-change-me-before-prod"), { cause: "development-key" }],
    [
      "a published example",
      () => text("your-generated-psk-here"),
      { cause: "published-key", name: "your-generated-psk-here" },
    ],
  ])("that holds %s is told so", async (_, wrong, cause) => {
    const running = await TestGateway.open(newHome());
    const { psk } = await running.add(ID);
    for (const transport of TRANSPORTS) {
      expect(await running.refused(ID, wrong(psk), transport)).toMatchObject({ ...cause, transport });
    }
    await (await running.device(ID, psk)).ping();
  });

  test("that decodes a key which is meant as text is told so, and so is one that cuts it at a zero", async () => {
    const running = await TestGateway.open(newHome());
    const digits = "b845e1d81eeedd10d1abb64e63fec7deeb9649056d105cc0045dfb47825dd0d2";
    await running.add(ID, { key: text(digits).toString("hex") });
    await (await running.device(ID, text(digits))).ping();
    expect(await running.refused(ID, bytesOf(digits))).toMatchObject({ cause: "wrong-key", form: "hex-decoded" });
    const withZero = `${digits.slice(0, 40)}00${digits.slice(42)}`;
    await running.add(OTHER, { key: withZero });
    expect(await running.refused(OTHER, bytesOf(withZero).subarray(0, 20))).toMatchObject({ form: "cut-at-zero" });
  });

  test("that holds the key of another one is told so, and not whose", async () => {
    const running = await TestGateway.open(newHome());
    await running.add(ID);
    const other = await running.add(OTHER);
    const told = await running.refused(ID, other.psk);
    expect(told).toMatchObject({ cause: "key-of-another-device" });
    expect(JSON.stringify(told)).not.toContain(OTHER);
  });
});
