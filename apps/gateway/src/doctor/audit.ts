import { type Check, notChecked, ok, problem } from "./check.ts";

/** Whether the chain of what was done is whole. */
export const audit: Check = {
  name: "audit",
  async run({ control, dataFlag }) {
    if (control === undefined) return [notChecked("audit", "needs the running gateway")];
    const verdict = await control.call("audit.verify", {});
    if (verdict.ok) return [ok("audit", `${verdict.rows} rows, unbroken`)];
    return [
      problem(
        "audit",
        `the audit log is not what the gateway wrote: ${verdict.says} (row ${verdict.seq})`,
        `usmp audit export${dataFlag} > audit.jsonl   # keep it as evidence, and compare it with a backup`,
      ),
    ];
  },
};
