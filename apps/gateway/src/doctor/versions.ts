import { cryptoChoice } from "@usmp/crypto";
import { type Check, type Finding, ok, warning } from "./check.ts";

/** Node 20 is past its end of life; 22.13 has SQLite inside. */
const RECOMMENDED_MAJOR = 22;

export const versions: Check = {
  name: "versions",
  async run({ system, version }) {
    const [major = 0] = system.nodeVersion.split(".").map(Number);
    const says = `usmp ${version} on Node ${system.nodeVersion}`;
    return [
      major >= RECOMMENDED_MAJOR
        ? ok("versions", says)
        : warning(
            "versions",
            `${says}: Node 20 is past its end of life and gets no security fixes`,
            "install Node 22 or 24 (nodejs.org), and start the gateway again with it",
          ),
      cryptography(),
    ];
  },
};

/** This process's, and with that the gateway's when both were started from one installation with one USMP_CRYPTO. */
function cryptography(): Finding {
  const { crypto, why } = cryptoChoice();
  return ok("versions", `crypto: ${crypto.name} (${why})`);
}
