import { setImmediate } from "node:timers/promises";

/** Gives the engine the occasions that it needs to let go of wiped keys; run with --expose-gc. */
export async function letKeysGo(providerName: string): Promise<void> {
  await collectGarbage();
  for (let round = 0; round < 4 && providerName === "noble"; round++) {
    goOnWorking();
    await collectGarbage();
  }
}

/** Finalizers, which free OpenSSL's keys, run in tasks after a collection: hence several rounds. */
async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.();
    await setImmediate();
  }
}

/**
 * What a process that lives on does anyway: allocates, and keeps some of it. noble's X25519 leaves keys in BigInts, which nobody can
 * wipe; the collector frees them without zeroing, and only a later allocation of about that size overwrites them. node:crypto does
 * without this.
 */
function goOnWorking(): void {
  const survivors: unknown[] = [];
  for (let i = 0; i < 400_000; i++) survivors.push(BigInt(i) << 200n, new Float64Array(4).fill(i));
  if (survivors.length === 0) throw new Error("nothing was allocated");
}
