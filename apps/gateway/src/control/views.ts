import type { GatewaySession } from "../gateway/gateway.ts";
import { type Device, formatTime, type SeenDevice } from "../records.ts";
import type { Enrolment } from "../registry/registry.ts";
import type { CauseName } from "../why/cause.ts";
import { explain } from "../why/explain.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";
import type { DeviceView, EnrolledDevice, RefusalView, SeenView } from "./methods.ts";

/** Records as the command line and scripts see them: times as texts, nothing undefined. */

export function deviceView(device: Device, live: GatewaySession | undefined): DeviceView {
  const { current, previous } = device;
  const peer = live?.session.peer;
  return {
    id: device.id,
    name: device.name ?? null,
    tags: device.tags,
    state: device.state === "active" && previous !== undefined ? "rotating" : device.state,
    generation: current?.generation ?? null,
    provenGeneration: [current, previous].find((key) => key?.provenAt !== undefined)?.generation ?? null,
    previousGeneration: previous?.generation ?? null,
    graceEndsAt: previous === undefined ? null : formatTime(previous.graceEndsAt),
    origin: current?.origin ?? null,
    addedAt: formatTime(device.addedAt),
    lastSeenAt: device.lastSeenAt === undefined ? null : formatTime(device.lastSeenAt),
    online: live !== undefined,
    transport: peer?.transport ?? null,
    peer: peer === undefined ? null : hostAndPort(peer),
  };
}

/** Wipes the key: it leaves the gateway here. */
export function enrolledDevice({ device, generation, key }: Enrolment): EnrolledDevice {
  const digits = Buffer.from(key.expose()).toString("hex");
  const psk = key.length === BARE_LENGTH ? digits : `hex:${digits}`;
  key.wipe();
  return {
    id: device.id,
    name: device.name ?? null,
    psk,
    generation,
    ...(device.previous === undefined ? {} : { graceEndsAt: formatTime(device.previous.graceEndsAt) }),
  };
}

/** Bytes of a key whose 64 digits need no prefix in the grammar of keys. */
const BARE_LENGTH = 32;

export function refusalView(record: RefusalRecord): RefusalView {
  const { firstAt, lastAt, count, claimedId, transport, peer } = record;
  const { cause } = record;
  const fields = FIELDS[cause.cause].map((name) => {
    const value = (cause as Readonly<Record<string, unknown>>)[name];
    return [name, TIMES.has(name) && typeof value === "number" ? formatTime(value) : (value ?? null)];
  });
  return {
    cause: cause.cause,
    ...(Object.fromEntries(fields) as object),
    time: formatTime(lastAt),
    firstTime: formatTime(firstAt),
    count,
    device: claimedId ?? null,
    transport,
    peer,
    ...explain(record),
  };
}

/** Fields of causes that are times. */
const TIMES: ReadonlySet<string> = new Set(["since", "deletedAt"]);

/** The fields of each cause: all are shown, also those that are undefined, which a record that was stored does not have. */
const FIELDS: { readonly [Name in CauseName]: readonly string[] } = {
  "unknown-device": ["deletedAt"],
  "wrong-key": ["form", "tried"],
  "development-key": [],
  "published-key": ["name"],
  "key-of-another-device": [],
  "old-generation": ["holds", "current"],
  revoked: ["since", "held"],
  suspended: ["since", "held"],
  "own-device-id": [],
  version: ["saw"],
  "malformed-frame": ["violation", "offset", "during"],
  "not-usmp": ["looksLike"],
  "over-budget": ["limit"],
  timeout: ["awaiting"],
  "connection-lost": ["awaiting", "message"],
  "server-full": [],
  "registry-stale": ["ageMs"],
  internal: ["message"],
};

export function seenView({ id, transport, source, firstSeenAt, lastSeenAt, attempts }: SeenDevice): SeenView {
  return { id, transport, source, firstSeenAt: formatTime(firstSeenAt), lastSeenAt: formatTime(lastSeenAt), attempts };
}

export function hostAndPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
