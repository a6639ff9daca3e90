import { type ClockDoubt, createWallClock } from "../time/wall-clock.ts";
import { type Check, notChecked, ok, problem } from "./check.ts";

/** Whether the wall clock is believed. In doubt, no grace and no retention ends. */
export const clock: Check = {
  name: "clock",
  async run({ control, status, dataFlag }) {
    if (control !== undefined && status === undefined) return [notChecked("clock", "the gateway does not answer")];
    const doubt = status === undefined ? createWallClock().doubt : (status.clock ?? undefined);
    if (doubt === undefined) return [ok("clock", "the wall clock is believed")];
    return [
      problem(
        "clock",
        `${describe(doubt)}: no grace ends until it is confirmed`,
        "set the clock (timedatectl set-ntp true), and when it is right:",
        `usmp clock confirm${dataFlag}`,
      ),
    ];
  },
};

function describe(doubt: ClockDoubt): string {
  switch (doubt.doubt) {
    case "before-build":
      return `the wall clock shows a time before this version was made (${doubt.buildDate})`;
    case "before-last-run":
      return `the wall clock shows a time before the gateway's last run (${doubt.lastRunAt})`;
    case "stepped":
      return `the wall clock jumped by ${Math.round(doubt.byMs / 60_000)} minutes`;
  }
}
