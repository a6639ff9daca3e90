/** What `service status`, `install` and `uninstall` say. */
export interface ServiceEvent {
  readonly event: "service";
  readonly unit: string;
  /** As systemd names it ("active", "failed"…), or "not-installed". */
  readonly state: string;
  readonly enabled: boolean;
  readonly pid: number | null;
  readonly restarts: number;
  readonly data: string;
  /** The gateway's answer on its control socket; null when there is none. */
  readonly version: string | null;
}

/** service install --dry-run --json. */
export interface UnitEvent {
  readonly event: "unit";
  readonly path: string;
  readonly text: string;
}
