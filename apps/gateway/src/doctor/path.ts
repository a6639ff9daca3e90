import { createHash } from "node:crypto";
import { connect, Secret, UsmpError } from "usmp";
import type { ControlClient } from "../control/client.ts";
import type { GatewayStatus } from "../control/methods.ts";
import { hexDigits } from "../enrol/key-forms.ts";
import { GatewayError } from "../errors.ts";
import { type Check, type Finding, notChecked, ok, problem } from "./check.ts";
import { bracketed } from "./ports.ts";

type Address = GatewayStatus["addresses"][number];

const TIMEOUT_MS = 5_000;

/**
 * The whole way: a throwaway device is enrolled, connects with its new key on each transport as any device would, and is deleted. Never
 * the key of a real device. Its id is always the same on one data directory, so that it leaves one tombstone, not one a run.
 */
export const path: Check = {
  name: "path",
  async run({ control, status, dataDirectory }) {
    if (control === undefined || status === undefined) return [notChecked("path", "needs the running gateway")];
    const id = throwawayId(dataDirectory);
    await remove(control, id); // what a doctor that was killed left behind
    const { devices } = await control.call("device.add", { devices: [{ id, name: "usmp doctor", tags: ["doctor"] }] });
    try {
      using key = new Secret(Buffer.from(hexDigits(devices[0]?.psk ?? ""), "hex"));
      const findings: Finding[] = [];
      for (const address of status.addresses) findings.push(await tryAddress(address, id, key));
      return findings;
    } finally {
      await remove(control, id);
    }
  },
};

async function tryAddress(address: Address, deviceId: string, psk: Secret): Promise<Finding> {
  const { transport, port } = address;
  const host = address.host === "::" || address.host === "0.0.0.0" ? "127.0.0.1" : address.host;
  const where = `${transport} ${bracketed(host)}:${port}`;
  try {
    const session = await connect({ host, port, transport, psk, deviceId, handshakeTimeoutMs: TIMEOUT_MS });
    try {
      const roundTripMs = await session.ping({ signal: AbortSignal.timeout(TIMEOUT_MS) });
      return ok(
        "path",
        `${where}: a throwaway device was enrolled, connected, had its PING answered in ${roundTripMs.toFixed(1)} ms, and was deleted`,
      );
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof UsmpError) && !isTimeout(error)) throw error;
    const said = error instanceof Error ? error.message : String(error);
    return problem(
      "path",
      `${where}: a throwaway device with a good key does not get through from this very host (${said})`,
      `usmp why ${deviceId}`,
    );
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
}

async function remove(control: ControlClient, id: string): Promise<void> {
  await control.call("device.delete", { id }).catch((error: unknown) => {
    if (!(error instanceof GatewayError) || error.code !== "unknown-device") throw error;
  });
}

/** Locally administered and unicast (IEEE 802): no maker's device. */
export function throwawayId(dataDirectory: string): string {
  const digest = createHash("sha256").update(`usmp doctor ${dataDirectory}`).digest();
  digest[0] = ((digest[0] as number) & 0xfc) | 0x02;
  return [...digest.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
