import type { AuditVerdict, MasterRotation, RestoreChange, RestorePlan, TokenView } from "@usmp/gateway";

/** What audit, master, backup, restore and token report, and where the HTTP API is. */
export type FleetEvent =
  | ({ readonly event: "token"; readonly token?: string; readonly saved?: string } & TokenView)
  | { readonly event: "api"; readonly url: string }
  | ({ readonly event: "verdict" } & AuditVerdict)
  | ({ readonly event: "master" } & Omit<MasterRotation, "graceEndsAt"> & { readonly graceEndsAt: string })
  | { readonly event: "backup"; readonly file: string; readonly bytes: number; readonly sealed: "passphrase" | "age" }
  | ({ readonly event: "restore" } & Omit<RestorePlan, "changes">)
  | ({ readonly event: "change" } & RestoreChange)
  | { readonly event: "restored"; readonly data: string; readonly devices: number; readonly done: boolean };

/** A name, so that the styles of all events stand in one place. */
export const FLEET_STYLES = {
  verdict: "cyan",
  master: "cyan",
  backup: "cyan",
  restore: "cyan",
  change: "yellow",
  restored: "green",
  token: "cyan",
  api: "cyan",
} as const;

export function describeFleet(event: FleetEvent): string {
  switch (event.event) {
    case "token":
      return `${event.id} ${event.role} ${event.name}`;
    case "api":
      return event.url;
    case "verdict":
      return event.ok
        ? `the audit is whole: ${event.rows} rows`
        : `the audit is NOT whole, row ${event.seq}: ${event.says}`;
    case "master":
      return `from ${event.from} to ${event.to}; ${event.remaining} of ${event.devices} devices have keys of the old one, good until ${event.graceEndsAt}`;
    case "backup":
      return `${event.file}, ${event.bytes} bytes, sealed ${event.sealed === "age" ? "to an age recipient" : "with a passphrase"}`;
    case "restore":
      return (
        `backup of ${event.madeAt}, ${event.devices} devices, master ${event.masterId}` +
        (event.ontoNothing ? "; nothing is here yet, so what was revoked after that moment would be good again" : "") +
        (event.lostAuditRows > 0 ? `; ${event.lostAuditRows} rows of the audit came after it and are lost` : "")
      );
    case "change":
      return `${event.id} ${event.says}`;
    case "restored":
      return event.done ? `${event.devices} devices, in ${event.data}` : "nothing was changed";
  }
}
