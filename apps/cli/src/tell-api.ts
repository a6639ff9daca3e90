import { join } from "node:path";
import type { Gateway } from "@usmp/gateway";
import { formatAddress } from "usmp";
import type { Environment } from "./environment.ts";
import type { Reporter, ReportOptions } from "./reporter.ts";

/** Where the token of the first admin is left when there is no terminal. */
const TOKEN_FILE = "admin.token";

/** Says where the HTTP API is, and hands out the first admin's token: to the terminal once, else to a file; never to a log. */
export async function tellApi(
  gateway: Gateway,
  directory: string,
  { json, quiet }: ReportOptions,
  { environment, reporter }: { readonly environment: Environment; readonly reporter: Reporter },
): Promise<void> {
  const address = gateway.httpAddress;
  if (address === undefined) return;
  await reporter.event({ event: "api", url: `${address.tls ? "https" : "http"}://${formatAddress(address)}` });
  const token = gateway.takeFirstToken();
  if (token === undefined) return;
  if (environment.stdout.isTTY && environment.stdin.isTTY && !json && !quiet) {
    await reporter.line(`\nThe first admin's token for the HTTP API. It is not shown again:\n\n  ${token}\n`);
    return;
  }
  const { writeSecretFile } = await import("@usmp/gateway");
  const path = join(directory, TOKEN_FILE);
  await writeSecretFile(path, Buffer.from(`${token}\n`), { replace: true });
  const message = `the first admin's token for the HTTP API is in ${path}: take it from there and delete the file`;
  await reporter.event({ event: "notice", topic: "token", message });
}
