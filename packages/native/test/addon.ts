import { createRequire } from "node:module";
import type { Addon } from "../src/addon.ts";
import { type LoadedNative, loadNative } from "../src/index.ts";

const loaded = loadNative();

/** True when there is nothing to test; CI must test it. */
export const absent = !("crypto" in loaded);
if (!("crypto" in loaded)) {
  if (process.env["CI"] === "true") throw new Error(`CI must test the native addon: ${loaded.reason}`);
  console.warn(`skipped: ${loaded.reason}`);
}

/** What was loaded; only for tests that are skipped when it is absent. */
export function native(): LoadedNative {
  return loaded as LoadedNative;
}

/** The exports themselves, without the classes over them. */
export function rawAddon(): Addon {
  return createRequire(import.meta.url)("../build/usmp-native.node") as Addon;
}
