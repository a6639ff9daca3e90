import { type Check, ok, problem, warning } from "./check.ts";

/** Whether one runs, answers, and in which mode. */
export const gateway: Check = {
  name: "gateway",
  async run({ control, status, controlProblem, dataDirectory, dataFlag, version }) {
    if (controlProblem !== undefined) return [problem("gateway", controlProblem)];
    if (control === undefined) {
      return [problem("gateway", `no gateway runs on ${dataDirectory}`, `usmp gateway${dataFlag}`)];
    }
    if (status === undefined) {
      return [problem("gateway", "a gateway runs, but does not answer", `stop it, and run: usmp gateway${dataFlag}`)];
    }
    return [
      ok("gateway", `runs since ${status.startedAt} (pid ${status.pid}), ${status.sessions} sessions`),
      ...(status.dev
        ? [
            warning(
              "gateway",
              "the gateway runs in DEVELOPMENT MODE (--dev): published keys are let in",
              `usmp gateway${dataFlag}   # instead of the one that runs, without --dev`,
            ),
          ]
        : []),
      ...(status.version === version
        ? []
        : [
            warning(
              "gateway",
              `the running gateway is version ${status.version}, this program is ${version}`,
              `usmp gateway${dataFlag}   # instead of the one that runs`,
            ),
          ]),
    ];
  },
};
