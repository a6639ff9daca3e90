import type { EnrolledDevice } from "@usmp/gateway";
import { escapeUnprintable } from "../../printable.ts";
import type { Reporter, ReportOptions } from "../../reporter.ts";
import { localTime } from "../../render.ts";

/** Shows a key for the one time that it leaves the gateway. */
export async function printEnrolment(
  device: EnrolledDevice,
  options: ReportOptions,
  reporter: Reporter,
): Promise<void> {
  if (options.json) return reporter.event({ event: "enrolled", ...device });
  const { describeKeyForms } = await import("@usmp/gateway");
  const { id, name, psk, generation, graceEndsAt } = device;
  const lines = [
    `${id}${name === null ? "" : ` "${escapeUnprintable(name)}"`}, key of generation ${generation}, shown this once:`,
    ...describeKeyForms(psk).map((line) => `  ${line}`),
    ...(graceEndsAt === undefined
      ? []
      : [`  The key before is good until the device has proven this one, or ${localTime(graceEndsAt)}.`]),
  ];
  for (const line of lines) await reporter.line(line);
}
