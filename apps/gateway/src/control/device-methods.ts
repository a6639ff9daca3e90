import { GatewayError } from "../errors.ts";
import type { Actor, Device, DeviceId } from "../records.ts";
import type { AddRequest } from "../registry/registry.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import type { AddParams, DeviceView, RotateParams } from "./methods.ts";
import { batchOf, idOf, importedKey, nameOf, tagsOf } from "./params.ts";
import { deviceView, enrolledDevice, seenView } from "./views.ts";

const DEFAULT_GRACE_MS = 7 * 24 * 3_600_000;
/** Devices enrolled by one request, in one transaction. */
const MOST_AT_ONCE = 10_000;
/** Lines of a list between two turns of the event loop, so that devices have theirs. */
const LINES_A_TURN = 500;

export function deviceMethods(context: ControlContext): MethodHandlers {
  const { opened, sessions, refusals } = context;
  const { registry } = opened;
  const view = (device: Device): DeviceView => deviceView(device, sessions.get(device.id));
  return {
    "device.add": async ({ devices }, actor) => {
      if (!Array.isArray(devices) || devices.length === 0 || devices.length > MOST_AT_ONCE) {
        throw new GatewayError("usage", `between 1 and ${MOST_AT_ONCE} devices can be added at once`);
      }
      const requests: AddRequest[] = [];
      try {
        for (const params of devices) requests.push(await addRequest(params, context));
        return { devices: (await registry.addMany(requests, actor)).map(enrolledDevice) };
      } finally {
        for (const { key } of requests) if (key !== undefined && "imported" in key) key.imported.wipe();
      }
    },
    "device.list": ({ tag, state }) =>
      paced(registry.devices(), (device) => {
        const line = view(device);
        const wanted = (tag === undefined || line.tags.includes(tag)) && (state === undefined || line.state === state);
        return wanted ? line : undefined;
      }),
    "device.show": async ({ id }) => view(existing(context, id)),
    "device.rotate": (params, actor) => rotate(context, params, actor),
    "device.revoke": async ({ id }, actor) => {
      const device = idOf(id);
      const sessionsEnded = sessions.endAtOnce(device, "revoked");
      return { ...view(await registry.revoke(device, actor)), sessionsEnded };
    },
    "device.suspend": async ({ id }, actor) => {
      const device = idOf(id);
      sessions.endAtOnce(device, "suspended");
      return view(await registry.suspend(device, actor));
    },
    "device.resume": async ({ id }, actor) => view(await registry.resume(idOf(id), actor)),
    "device.rename": async ({ id, name }, actor) => view(await registry.rename(idOf(id), nameOf(name), actor)),
    "device.tag": async ({ id, add, remove }, actor) =>
      view(await registry.retag(idOf(id), { add: tagsOf(add), remove: tagsOf(remove) }, actor)),
    "device.delete": async ({ id }, actor) => {
      const { id: deleted, generation } = await registry.delete(idOf(id), actor);
      return { id: deleted, generation };
    },
    "device.seen": () => paced(refusals.seen(), seenView),
  };
}

async function addRequest(params: AddParams, { options }: ControlContext): Promise<AddRequest> {
  const { id, name, tags, key, batch, allowWeak = false } = params;
  if (key !== undefined && batch !== undefined) {
    throw new GatewayError("usage", "a key that was brought along and a batch exclude each other");
  }
  if (id === undefined && (key !== undefined || batch !== undefined)) {
    throw new GatewayError("usage", "a device whose key exists already has an id, too: give it");
  }
  const request = { id: id === undefined ? undefined : idOf(id), name: nameOf(name), tags: tagsOf(tags) };
  if (key !== undefined) return { ...request, key: { imported: await importedKey(key, allowWeak, options) } };
  return batch === undefined ? request : { ...request, key: { batch: batchOf(batch) } };
}

async function* rotate(
  context: ControlContext,
  params: RotateParams,
  actor: Actor,
): AsyncGenerator<ReturnType<typeof enrolledDevice> | { id: string; skipped: string }> {
  const {
    graceMs = DEFAULT_GRACE_MS,
    compromised = false,
    replace = false,
    all = false,
    key,
    allowWeak = false,
  } = params;
  if (!Number.isFinite(graceMs) || graceMs < 0) throw new GatewayError("usage", "the grace is not a time");
  if (all === (params.id !== undefined)) throw new GatewayError("usage", "give one device id, or all");
  if (all && key !== undefined) throw new GatewayError("usage", "one key cannot be the key of all devices");
  const { registry } = context.opened;
  if (!all) {
    const imported = key === undefined ? undefined : await importedKey(key, allowWeak, context.options);
    try {
      if (compromised) context.sessions.endAtOnce(idOf(params.id), "compromised");
      yield enrolledDevice(await registry.rotate(idOf(params.id), { graceMs, compromised, replace, imported }, actor));
    } finally {
      imported?.wipe();
    }
    return;
  }
  for (const { id } of [...registry.devices()]) yield rotateOne(context, id, { graceMs, compromised, replace }, actor);
}

/** One of all: what cannot be rotated now does not stop the others. */
async function rotateOne(
  { opened }: ControlContext,
  id: DeviceId,
  options: { readonly graceMs: number; readonly compromised: boolean; readonly replace: boolean },
  actor: Actor,
): Promise<ReturnType<typeof enrolledDevice> | { id: string; skipped: string }> {
  try {
    return enrolledDevice(await opened.registry.rotate(id, options, actor));
  } catch (error) {
    if (error instanceof GatewayError && ["rotation-open", "device-state", "unknown-device"].includes(error.code)) {
      return { id, skipped: error.message };
    }
    throw error;
  }
}

function existing({ opened }: ControlContext, id: unknown): Device {
  const device = opened.registry.device(idOf(id));
  if (device !== undefined) return device;
  throw new GatewayError(
    "unknown-device",
    `no device ${idOf(id)}; "usmp device list" shows those there are, "usmp device add ${idOf(id)}" enrols it`,
  );
}

export async function* paced<T, R>(items: Iterable<T>, line: (item: T) => R | undefined): AsyncGenerator<R> {
  let count = 0;
  for (const item of items) {
    const made = line(item);
    if (made !== undefined) yield made;
    if (++count % LINES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}
