import { readFileSync, statSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { GatewayError } from "../errors.ts";

/** The certificate and its key, read anew when the files change: renewals need no restart. */
export class TlsFiles {
  readonly #paths: { readonly certificateFile: string; readonly keyFile: string };
  #changedAt = "";

  constructor(paths: { readonly certificateFile: string; readonly keyFile: string }) {
    this.#paths = paths;
  }

  /** Throws GatewayError "usage" for files that are none, or do not belong together. */
  read(): SecureContextOptions {
    const { certificateFile, keyFile } = this.#paths;
    try {
      this.#changedAt = this.#times();
      const options: SecureContextOptions = {
        cert: readFileSync(certificateFile),
        key: readFileSync(keyFile),
        minVersion: "TLSv1.2",
      };
      createSecureContext(options);
      return options;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      throw new GatewayError(
        "usage",
        `http certificate ${certificateFile} and key ${keyFile} cannot be used: ${problem}; give PEM files of a pair`,
        { cause: error },
      );
    }
  }

  /** The new pair; undefined when nothing changed, or half of a renewal is written: then the old one stays. */
  readIfChanged(): SecureContextOptions | undefined {
    try {
      return this.#times() === this.#changedAt ? undefined : this.read();
    } catch {
      return undefined;
    }
  }

  #times(): string {
    return [this.#paths.certificateFile, this.#paths.keyFile].map((path) => statSync(path).mtimeMs).join(" ");
  }
}
