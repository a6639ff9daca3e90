import { z } from "zod";
import type { DeviceView, SeenView } from "../../control/methods.ts";
import type { CauseName } from "../../why/cause.ts";
import type { ParamsOf, RoutesOf } from "./route.ts";
import {
  batch,
  count,
  deviceId,
  enrolledDevice,
  exactly,
  keyDigits,
  milliseconds,
  moment,
  nothing,
  oneDevice,
  text,
  transport,
} from "./shared.ts";

const addDevices = exactly<ParamsOf<"device.add">>()(
  z.strictObject({
    devices: z
      .array(
        z.strictObject({
          id: deviceId.exactOptional(),
          name: text().exactOptional(),
          tags: z.array(text()).max(32).exactOptional(),
          key: keyDigits.exactOptional(),
          allowWeak: z.boolean().exactOptional(),
          batch: batch.exactOptional(),
        }),
      )
      .min(1)
      .max(1_000),
  }),
);
const rotateDevices = exactly<ParamsOf<"device.rotate">>()(
  z.strictObject({
    id: deviceId.exactOptional(),
    all: z.boolean().exactOptional(),
    graceMs: milliseconds().exactOptional(),
    compromised: z.boolean().exactOptional(),
    replace: z.boolean().exactOptional(),
    key: keyDigits.exactOptional(),
    allowWeak: z.boolean().exactOptional(),
  }),
);
const listDevices = exactly<ParamsOf<"device.list">>()(
  z.strictObject({
    tag: text().exactOptional(),
    state: z.enum(["active", "suspended", "revoked", "rotating"]).exactOptional(),
  }),
);
const renameDevice = exactly<ParamsOf<"device.rename">>()(z.strictObject({ id: deviceId, name: text().nullable() }));
const tagDevice = exactly<ParamsOf<"device.tag">>()(
  z.strictObject({
    id: deviceId,
    add: z.array(text()).max(32),
    remove: z.array(text()).max(32),
  }),
);
const askWhy = exactly<ParamsOf<"why">>()(
  z.strictObject({
    id: deviceId.exactOptional(),
    limit: z.int().min(1).max(10_000).exactOptional(),
  }),
);
const enrolledDevices = z.object({ devices: z.array(enrolledDevice) });
const skippedDevice = z.object({ id: deviceId, skipped: z.string() }).meta({ id: "SkippedDevice" });
const device = exactly<DeviceView>()(
  z
    .object({
      id: deviceId,
      name: z.string().nullable(),
      tags: z.array(z.string()),
      state: z.enum(["active", "suspended", "revoked", "rotating"]),
      generation: z.int().nullable(),
      provenGeneration: z.int().nullable(),
      previousGeneration: z.int().nullable(),
      graceEndsAt: moment().nullable(),
      origin: z.enum(["derived", "factory", "imported"]).nullable(),
      addedAt: moment(),
      lastSeenAt: moment().nullable(),
      online: z.boolean(),
      transport: transport.nullable(),
      peer: z.string().nullable(),
    })
    .meta({ id: "Device" }),
);
const revokedDevice = device.extend({ sessionsEnded: count() }).meta({ id: "RevokedDevice" });
const deletedDevice = z.object({ id: deviceId, generation: z.int() }).meta({ id: "DeletedDevice" });
const seenDevice = exactly<SeenView>()(
  z
    .object({
      id: deviceId,
      transport,
      source: z.string(),
      firstSeenAt: moment(),
      lastSeenAt: moment(),
      attempts: count(),
    })
    .meta({ id: "SeenDevice" }),
);
const CAUSES = [
  "unknown-device",
  "wrong-key",
  "development-key",
  "published-key",
  "key-of-another-device",
  "old-generation",
  "revoked",
  "suspended",
  "own-device-id",
  "version",
  "malformed-frame",
  "not-usmp",
  "over-budget",
  "timeout",
  "connection-lost",
  "server-full",
  "registry-stale",
  "internal",
] as const satisfies readonly CauseName[];
const refusal = z
  .looseObject({
    cause: z.enum(CAUSES),
    time: moment(),
    firstTime: moment(),
    count: count(),
    device: z.string().nullable(),
    transport,
    peer: z.string(),
    says: z.string(),
    evidence: z.array(z.string()),
    fix: z.array(z.string()),
  })
  .meta({ id: "Refusal", description: "The fields of the cause stand beside its name." });

export const DEVICE_ROUTES: RoutesOf<
  | "device.add"
  | "device.list"
  | "device.seen"
  | "device.show"
  | "device.rotate"
  | "device.revoke"
  | "device.suspend"
  | "device.resume"
  | "device.rename"
  | "device.tag"
  | "device.delete"
  | "why"
  | "factory-key"
> = {
  "device.add": {
    verb: "POST",
    path: "/v1/devices",
    role: "admin",
    summary: "Enrol devices, all or none; their keys are in the answer and nowhere else",
    params: addDevices,
    result: enrolledDevices,
  },
  "device.list": {
    verb: "GET",
    path: "/v1/devices",
    role: "viewer",
    summary: "The devices, in order of id",
    params: listDevices,
    item: device,
    paging: "place",
  },
  "device.seen": {
    verb: "GET",
    path: "/v1/seen",
    role: "viewer",
    summary: "Ids that tried to connect and are not enrolled: claimed, not proven",
    params: nothing,
    item: seenDevice,
    paging: "place",
  },
  "device.show": {
    verb: "GET",
    path: "/v1/devices/{id}",
    role: "viewer",
    summary: "One device",
    params: oneDevice,
    result: device,
  },
  "device.rotate": {
    verb: "POST",
    path: "/v1/rotations",
    role: "admin",
    summary: "Give one device, or all, a new key, which is in the answer and nowhere else",
    params: rotateDevices,
    item: enrolledDevice.or(skippedDevice),
  },
  "device.revoke": {
    verb: "POST",
    path: "/v1/devices/{id}/revoke",
    role: "admin",
    summary: "Refuse a device for good: its sessions end, its keys are dead",
    params: oneDevice,
    result: revokedDevice,
  },
  "device.suspend": {
    verb: "POST",
    path: "/v1/devices/{id}/suspend",
    role: "operator",
    summary: "Refuse a device until it is resumed",
    params: oneDevice,
    result: device,
  },
  "device.resume": {
    verb: "POST",
    path: "/v1/devices/{id}/resume",
    role: "operator",
    summary: "Let a suspended device in again",
    params: oneDevice,
    result: device,
  },
  "device.rename": {
    verb: "PUT",
    path: "/v1/devices/{id}/name",
    role: "operator",
    summary: "Give a device another name, or none (null)",
    params: renameDevice,
    result: device,
  },
  "device.tag": {
    verb: "POST",
    path: "/v1/devices/{id}/tags",
    role: "operator",
    summary: "Put tags on a device and take others off",
    params: tagDevice,
    result: device,
  },
  "device.delete": {
    verb: "DELETE",
    path: "/v1/devices/{id}",
    role: "admin",
    summary: "Forget a device; its keys stay dead",
    params: oneDevice,
    result: deletedDevice,
  },
  why: {
    verb: "GET",
    path: "/v1/refusals",
    role: "viewer",
    summary: "Why devices were refused, newest first",
    params: askWhy,
    item: refusal,
    paging: "place",
  },
  "factory-key": {
    hostOnly:
      "a batch's key opens every device of the batch; over the API key material leaves in the answers to enrol and rotate alone",
  },
};
