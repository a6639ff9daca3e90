import { nodeCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { afterEach, expect, test } from "vitest";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

const homes: TestHome[] = [];
afterEach(async () => {
  for (const home of homes.splice(0)) await home.remove();
});

const KINDS = ["unknown", "wrong", "revoked", "suspended", "rotating", "imported", "deleted"] as const;
type Kind = (typeof KINDS)[number];
const idOf = (kind: Kind): string => `02:00:00:00:00:0${KINDS.indexOf(kind)}`;
const WRONG_KEY = new Uint8Array(32).fill(0x77);
const TEST_KEY = "b845e1d81eeedd10d1abb64e63fec7deeb9649056d105cc0045dfb47825dd0d2";

/** A gateway with one device of each kind. */
async function gatewayWithAll(crypto = nodeCrypto): Promise<TestGateway> {
  const home = new TestHome(undefined);
  homes.push(home);
  const running = await TestGateway.open(home, { crypto });
  for (const kind of KINDS) if (kind !== "unknown" && kind !== "imported") await running.add(idOf(kind));
  await running.add(idOf("imported"), { key: TEST_KEY });
  await running.rotate(idOf("rotating"));
  await running.control.call("device.revoke", { id: idOf("revoked") });
  await running.control.call("device.suspend", { id: idOf("suspended") });
  await running.control.call("device.delete", { id: idOf("deleted") });
  return running;
}

test("a refused handshake costs one key pair and no exchange, whatever the registry says of the id", async () => {
  const counting = countingCrypto(nodeCrypto);
  const running = await gatewayWithAll(counting.provider);
  for (const kind of KINDS) {
    counting.reset();
    await expect(running.device(idOf(kind), WRONG_KEY)).rejects.toThrow();
    const { generateKeyPair, deriveTrafficKeys, seal } = counting.calls;
    expect({ kind, generateKeyPair, deriveTrafficKeys, seal }).toEqual({
      kind,
      generateKeyPair: 1,
      deriveTrafficKeys: 0,
      seal: 0,
    });
  }
});

/** Two keys are two HMACs in the core, also where they are decoys: handshake/server.ts and its tests. */
test("a look-up gives two keys and takes the same time, whatever the registry says of the id", async () => {
  const running = await gatewayWithAll();
  const { registry } = running.gateway;
  const samples = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
  for (let round = 0; round < 1_200; round++) {
    for (const kind of KINDS) {
      const began = process.hrtime.bigint();
      const found = registry.candidates(idOf(kind));
      const tookNs = Number(process.hrtime.bigint() - began);
      if (round >= 200) samples.get(kind)?.push(tookNs);
      for (const { key } of found) key.wipe();
      expect(found).toHaveLength(2);
    }
  }
  const medianUs = (kind: Kind): number => {
    const sorted = (samples.get(kind) as number[]).sort((a, b) => a - b);
    return (sorted[Math.floor(sorted.length / 2)] as number) / 1_000;
  };
  const medians = KINDS.map((kind) => [kind, medianUs(kind)] as const);
  console.log(`median look-up: ${medians.map(([kind, us]) => `${kind} ${us.toFixed(1)} us`).join(", ")}`);
  const all = medians.map(([, us]) => us);
  expect(Math.max(...all) / Math.min(...all)).toBeLessThan(1.35);
});
