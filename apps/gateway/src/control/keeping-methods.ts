import { Secret } from "@usmp/protocol";
import type { BackupSeal } from "../backup/seal.ts";
import { GatewayError } from "../errors.ts";
import { nextMaster, parseMaster } from "../master/open-master.ts";
import { readSecretFile } from "../master/secret-file.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import { enrolledDevice } from "./views.ts";

/** Bytes of a backup in one line. */
const PIECE_LENGTH = 524_288;
const SHORTEST_PASSPHRASE = 12;

/** What concerns the fleet as a whole: its master, its backups, its audit. */
export function keepingMethods({ opened, options }: ControlContext): MethodHandlers {
  const { registry, backup } = opened;
  return {
    "master.rotate": async function* ({ graceMs, to }, actor) {
      if (!Number.isFinite(graceMs) || graceMs < 0) throw new GatewayError("usage", "the grace is not a time");
      const given = to === undefined ? undefined : await readMaster(to);
      const next = nextMaster(options.master, options.surroundings, given);
      const { rotation, enrolments } = await registry.rotateMaster(next, { graceMs }, actor);
      yield { rotation };
      for (const enrolment of enrolments) yield enrolledDevice(enrolment);
    },
    "audit.accept": async (_, actor) => {
      await registry.audit.append("audit.accept", {}, actor);
      return registry.audit.verify();
    },
    backup: async function* (params, actor) {
      const seal = sealOf(params);
      try {
        const file = await backup.write(seal, actor);
        for (let start = 0; start < file.length; start += PIECE_LENGTH) {
          yield { data: Buffer.from(file.subarray(start, start + PIECE_LENGTH)).toString("base64") };
        }
      } finally {
        if (seal.kind === "passphrase") seal.passphrase.wipe();
      }
    },
  };
}

async function readMaster(path: string): Promise<ReturnType<typeof parseMaster>> {
  const digits = await readSecretFile(path, "the next master secret");
  if (digits === undefined)
    throw new GatewayError("usage", `--to ${path}: there is no such file; "usmp keygen > FILE" makes one, mode 0600`);
  return parseMaster(digits, `file ${path}`);
}

function sealOf({ passphrase, recipient }: { passphrase?: string; recipient?: string }): BackupSeal {
  if ((passphrase === undefined) === (recipient === undefined))
    throw new GatewayError("usage", "give a passphrase or a recipient");
  if (recipient !== undefined) return { kind: "age-recipient", recipient };
  if ((passphrase ?? "").length < SHORTEST_PASSPHRASE) {
    throw new GatewayError(
      "usage",
      `the passphrase has fewer than ${SHORTEST_PASSPHRASE} characters, and whoever has the backup can try them for years; take six random words`,
    );
  }
  return { kind: "passphrase", passphrase: new Secret(Buffer.from(passphrase ?? "")) };
}
