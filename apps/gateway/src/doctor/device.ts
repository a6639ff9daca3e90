import type { DeviceView, RefusalView } from "../control/methods.ts";
import { GatewayError } from "../errors.ts";
import { deviceAddresses } from "../gateway/device-addresses.ts";
import { type Check, type DoctorContext, type Finding, notChecked, ok, problem, warning } from "./check.ts";
import { bracketed } from "./ports.ts";

/** One device: what the gateway knows of it, and why it was refused last. */
export const device: Check = {
  name: "device",
  async run(context) {
    const { control, deviceId } = context;
    if (deviceId === undefined) return [];
    if (control === undefined) return [notChecked("device", `${deviceId}: needs the running gateway`)];
    const refusal = await lastRefusal(context, deviceId);
    const view = await control.call("device.show", { id: deviceId }).catch(unlessUnknown);
    if (view?.online === true) {
      return [
        ok("device", `${deviceId} is connected (${view.transport} ${view.peer}), generation ${view.provenGeneration}`),
      ];
    }
    if (refusal !== undefined && !isOver(refusal, view)) {
      return [problem("device", `${refusal.says} (last at ${refusal.time}, from ${refusal.peer})`, ...refusal.fix)];
    }
    if (view === undefined) {
      return [
        problem(
          "device",
          `${deviceId} is not enrolled here, and has not tried to connect`,
          `usmp device add ${deviceId}`,
        ),
      ];
    }
    return [offline(context, view)];
  },
};

function offline({ status, system, dataFlag }: DoctorContext, view: DeviceView): Finding {
  const { id } = view;
  if (view.state === "suspended") return problem("device", `${id} is suspended`, `usmp device resume ${id}${dataFlag}`);
  if (view.state === "revoked") {
    return problem(
      "device",
      `${id} is revoked`,
      `usmp device delete ${id}${dataFlag}`,
      `usmp device add ${id}${dataFlag}`,
    );
  }
  const [address] = (status?.addresses ?? []).flatMap((bound) => deviceAddresses(bound, system.interfaces()));
  const where =
    address === undefined ? "" : `; it must connect to ${address.transport} ${bracketed(address.host)}:${address.port}`;
  return view.lastSeenAt === null
    ? warning(
        "device",
        `${id} is enrolled, and nothing of it has ever arrived here: it is off, in another network, or connects to another address${where}`,
        `usmp why ${id}${dataFlag}   # after its next try`,
      )
    : warning(
        "device",
        `${id} was here last at ${view.lastSeenAt} and is not connected; nothing of it was refused since`,
      );
}

async function lastRefusal({ control }: DoctorContext, id: string): Promise<RefusalView | undefined> {
  for await (const refusal of control?.stream("why", { id, limit: 1 }) ?? []) return refusal;
  return undefined;
}

/** A refusal from before the device was last connected, or from before it was enrolled, explains nothing now. */
function isOver(refusal: RefusalView, view: DeviceView | undefined): boolean {
  if (view === undefined) return false;
  if (view.lastSeenAt !== null && view.lastSeenAt > refusal.time) return true;
  return refusal.cause === "unknown-device" && view.addedAt > refusal.time;
}

function unlessUnknown(error: unknown): undefined {
  if (error instanceof GatewayError && error.code === "unknown-device") return undefined;
  throw error;
}
