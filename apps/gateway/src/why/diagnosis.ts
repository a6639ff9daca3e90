import { type ProofTrial, Secret } from "@usmp/protocol";
import { PUBLISHED_KEY_TEXTS } from "usmp";
import { wrongForms } from "../keys/forms.ts";
import type { Device, DeviceId } from "../records.ts";
import type { Registry } from "../registry/registry.ts";
import type { RefusalCause } from "./cause.ts";

/** Other devices whose key is tried: a fleet in which two boards were swapped is small, or its newest devices are concerned. */
const OTHERS = 64;

/**
 * Finds out which key a refused device holds, by trying the owner's keys on its proof: keys that were good once, the present ones in
 * wrong forms, published ones, and those of other devices. Diagnosis only: whatever matches, the device stays refused.
 */
export async function diagnose(registry: Registry, id: DeviceId, proof: ProofTrial | undefined): Promise<RefusalCause> {
  const device = registry.device(id);
  if (device === undefined) {
    return { cause: "unknown-device", deletedAt: (await registry.tombstone(id))?.deletedAt };
  }
  const former = proof === undefined ? undefined : await heldGeneration(registry, id, proof);
  if (device.state !== "active") {
    return { cause: device.state, since: device.stateSince, held: proof && former !== undefined };
  }
  if (proof === undefined) return { cause: "wrong-key", form: undefined, tried: false };
  if (former !== undefined) return oldGeneration(device, former);
  return (
    inAWrongForm(registry, id, proof) ??
    published(proof) ??
    (await ofAnother(registry, id, proof)) ?? { cause: "wrong-key", form: undefined, tried: true }
  );
}

/** The generation of this device that the proof was made with, dead ones included. */
async function heldGeneration(registry: Registry, id: DeviceId, proof: ProofTrial): Promise<number | undefined> {
  let held: number | undefined;
  for (const { generation, key } of await registry.formerKeys(id)) {
    if (held === undefined && proof.matches(key)) held = generation;
    key.wipe();
  }
  return held;
}

/** Resumed, or rotated, between the proof and this look at it: then its key was wrong when it came, and is good now. */
function oldGeneration({ current }: Device, holds: number): RefusalCause {
  return { cause: "old-generation", holds, current: current?.generation ?? holds };
}

function inAWrongForm(registry: Registry, id: DeviceId, proof: ProofTrial): RefusalCause | undefined {
  let found: RefusalCause | undefined;
  for (const { kind, key } of goodKeys(registry, id)) {
    if (kind !== "decoy") {
      for (const { form, key: wrong } of wrongForms(key)) {
        if (found === undefined && proof.matches(wrong)) found = { cause: "wrong-key", form, tried: true };
        wrong.wipe();
      }
    }
    key.wipe();
  }
  return found;
}

function published(proof: ProofTrial): RefusalCause | undefined {
  for (const [index, name] of PUBLISHED_KEY_TEXTS.entries()) {
    using key = new Secret(new TextEncoder().encode(name));
    if (proof.matches(key)) return index === 0 ? { cause: "development-key" } : { cause: "published-key", name };
  }
  return undefined;
}

/** Never says whose: who may read this is not always who may know that. */
async function ofAnother(registry: Registry, id: DeviceId, proof: ProofTrial): Promise<RefusalCause | undefined> {
  for (const other of newest(registry, OTHERS)) {
    if (other === id) continue;
    let found = false;
    for (const { kind, key } of goodKeys(registry, other)) {
      if (kind !== "decoy") found ||= proof.matches(key);
      key.wipe();
    }
    if (found) return { cause: "key-of-another-device" };
  }
  return undefined;
}

/** None when the copy is stale: nothing is diagnosed then. */
function goodKeys(registry: Registry, id: DeviceId): ReturnType<Registry["candidates"]> | readonly [] {
  try {
    return registry.candidates(id);
  } catch {
    return [];
  }
}

function newest(registry: Registry, most: number): readonly DeviceId[] {
  if (registry.deviceCount > MOST_TO_SORT) return [];
  return [...registry.devices()]
    .sort((a, b) => b.changedAt - a.changedAt)
    .slice(0, most)
    .map(({ id }) => id);
}

/** Larger fleets are not gone through for one refused device. */
const MOST_TO_SORT = 2_000;
