import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { constants } from "@usmp/protocol";
import { describe, expect, it } from "vitest";
import { absent, native, rawAddon } from "./addon.ts";
import { session } from "./frames.ts";

describe.skipIf(absent)("keys in the addon", () => {
  it("are as many as were made, less those that were wiped", () => {
    const addon = rawAddon();
    const before = addon.heldKeys();
    const { client, server } = session();
    const pair = native().crypto.generateKeyPair();
    const next = client.next("us", new Uint8Array(constants.REKEY_SALT_LENGTH), new Uint8Array(3));
    expect(addon.heldKeys()).toBe(before + 4);
    for (const secret of [client, server, pair, next, client, pair]) secret.wipe();
    expect(addon.heldKeys()).toBe(before);
  });

  it("are not reached by a handle whose keys were wiped, also when their place has a new tenant", () => {
    const addon = rawAddon();
    const [key, prefix, frame] = [new Uint8Array(32), new Uint8Array(8), new Uint8Array(44)];
    const old = addon.importTrafficKeys(key, key, true, prefix);
    expect(addon.wipeTrafficKeys(old)).toBe(true);
    expect(addon.wipeTrafficKeys(old)).toBe(false);
    const next = addon.importTrafficKeys(key, key, true, prefix);
    expect(next).not.toBe(old);
    for (const use of [
      () => addon.seal(old, true, frame),
      () => addon.sealRun(old, true, frame, 0, 0),
      () => addon.open(old, true, frame, new Uint8Array(4)),
      () => addon.openRun(old, true, frame, 0, 44, 0, new Uint8Array(4)),
      () => addon.acknowledgementMac(old, true, new Uint8Array(8), 7),
      () => addon.nextTrafficKeys(old, true, new Uint8Array(64), 32, 32),
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: "ERR_USMP_STALE_KEY" }));
    }
    addon.seal(next, true, frame);
    addon.wipeTrafficKeys(next);
  });

  it("are wiped by the collector when nobody has them any more, and not before", async () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const addon = rawAddon();
    gc();
    await setImmediate();
    const before = addon.heldKeys();
    const kept = session().client.transmit; // a record key alone keeps its epoch's keys
    for (let i = 0; i < 50; i++) forget();
    await expect
      .poll(async () => {
        gc();
        await setImmediate();
        return addon.heldKeys();
      })
      .toBe(before + 1);
    kept.seal(new Uint8Array(40));
  });

  it("are each thread's own", async () => {
    const keys = session();
    const worker = new Worker(
      `const { parentPort } = require("node:worker_threads");
       const addon = require(${JSON.stringify(new URL("../build/usmp-native.node", import.meta.url).pathname)});
       const key = new Uint8Array(32);
       const before = addon.heldKeys();
       const handle = addon.importTrafficKeys(key, key, true, new Uint8Array(8));
       addon.seal(handle, true, new Uint8Array(40));
       parentPort.postMessage([before, addon.heldKeys()]);`,
      { eval: true },
    );
    const counts = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    expect(counts).toEqual([0, 1]);
    await worker.terminate();
    keys.client.transmit.seal(new Uint8Array(40));
  });
});

/** Makes keys and lets go of them, in a frame of its own. */
function forget(): void {
  session();
  native().crypto.generateKeyPair();
}
