import type { DeviceId } from "../records.ts";
import type { DeviceCopy, DeviceEntry } from "./device-copy.ts";
import type { RegistryChange } from "./registry.ts";

/** What became of devices between two copies: sessions must end as if each change had been made here. */
export function* reloadChanges(before: ReadonlyMap<DeviceId, DeviceEntry>, now: DeviceCopy): Iterable<RegistryChange> {
  for (const [id, old] of before) {
    const entry = now.get(id);
    if (entry === undefined) yield { type: "deleted", id };
    else if (entry.state !== old.state && entry.state !== "active") yield { type: entry.state, id };
    else {
      const good = [entry.current?.generation, entry.previous?.generation];
      for (const key of [old.current, old.previous]) {
        if (key !== undefined && !good.includes(key.generation)) {
          yield { type: "generation-ended", id, generation: key.generation, because: "rotated" };
        }
      }
      if (entry.changedAt !== old.changedAt) yield { type: "changed", id };
    }
  }
}
