import type { Session } from "usmp";
import type { DeviceId } from "../records.ts";
import type { Registry, RegistryChange } from "../registry/registry.ts";
import type { GatewaySession } from "./gateway.ts";

/** The live sessions of devices, and their end when the registry says so: at once, with one BYE, and nothing of them is heard after. */
export class DeviceSessions {
  /** In the order in which they were established. */
  readonly #sessions: Map<DeviceId, Set<GatewaySession>> = new Map();

  /** The newest one. */
  get(id: DeviceId): GatewaySession | undefined {
    return [...(this.#sessions.get(id) ?? [])].at(-1);
  }

  find(session: Session): GatewaySession | undefined {
    return [...(this.#sessions.get(session.deviceId) ?? [])].find((admitted) => admitted.session === session);
  }

  /** All of all devices. */
  *all(): IterableIterator<GatewaySession> {
    for (const ofDevice of this.#sessions.values()) yield* ofDevice;
  }

  /**
   * Ends what a device has, before the change that ends it for good is durable: its owner's word is enough for that, and does not wait for a
   * disk. Whoever comes back meanwhile is ended by the change. Answers how many sessions that were.
   */
  endAtOnce(id: DeviceId, cause: string): number {
    return this.#end(id, cause, () => true);
  }

  /** Takes a session; undefined when what it proved is good no more, because a change overtook its handshake: then it is ended. */
  admit(session: Session, registry: Pick<Registry, "device">): GatewaySession | undefined {
    const { deviceId, keyLabel = 0 } = session;
    const device = registry.device(deviceId);
    const good = [device?.current?.generation, device?.previous?.generation].includes(keyLabel);
    if (device?.state !== "active" || !good) {
      session.dismiss(device === undefined || device.state === "active" ? "key-changed" : device.state);
      return undefined;
    }
    const admitted = { session, generation: keyLabel };
    const ofDevice = this.#sessions.get(deviceId) ?? new Set();
    this.#sessions.set(deviceId, ofDevice.add(admitted));
    return admitted;
  }

  remove(admitted: GatewaySession): void {
    const { deviceId } = admitted.session;
    const ofDevice = this.#sessions.get(deviceId);
    ofDevice?.delete(admitted);
    if (ofDevice?.size === 0) this.#sessions.delete(deviceId);
  }

  /** Ends what a change of the registry ends; answers how many sessions that were. */
  endBy(change: RegistryChange): number {
    switch (change.type) {
      case "added":
      case "changed":
        return 0;
      case "generation-ended":
        return this.#end(change.id, change.because, ({ generation }) => generation === change.generation);
      default:
        return this.#end(change.id, change.type, () => true);
    }
  }

  #end(id: DeviceId, cause: string, concerned: (session: GatewaySession) => boolean): number {
    const ending = [...(this.#sessions.get(id) ?? [])].filter(concerned);
    for (const { session } of ending) session.dismiss(cause);
    return ending.length;
  }
}
