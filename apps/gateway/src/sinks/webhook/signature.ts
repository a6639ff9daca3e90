import { createHash, createHmac } from "node:crypto";
import { GatewayError } from "../../errors.ts";
import { readSecretFile } from "../../master/secret-file.ts";

const PREFIX = "whsec_";
/** Bytes: 192 bits at least, 512 at most (standardwebhooks.com, "Symmetric"). */
const SHORTEST_SECRET = 24;
const LONGEST_SECRET = 64;

/** The secrets of a file of mode 0600, a line each: `whsec_` and base64. With two of them both sign, until all receivers know the new one. */
export async function readWebhookSecrets(path: string): Promise<readonly Uint8Array[]> {
  const bytes = await readSecretFile(path, "the webhook's secret", "make a new one");
  if (bytes === undefined) {
    const how = `(umask 077; echo "${PREFIX}$(openssl rand -base64 32)" > ${path})`;
    throw new GatewayError("usage", `the webhook's secret ${path} is missing; make one: ${how}`);
  }
  const lines = Buffer.from(bytes).toString("utf8").split(/\r?\n/).filter(Boolean);
  bytes.fill(0);
  if (lines.length === 0) throw new GatewayError("usage", `the webhook's secret ${path} is empty`);
  return lines.map((line, index) => {
    const secret = Buffer.from(line.slice(PREFIX.length), "base64");
    const good = line.startsWith(PREFIX) && secret.length >= SHORTEST_SECRET && secret.length <= LONGEST_SECRET;
    if (good) return secret;
    const right = `"${PREFIX}" and the base64 of ${SHORTEST_SECRET} to ${LONGEST_SECRET} random bytes`;
    throw new GatewayError("usage", `the webhook's secret ${path}, line ${index + 1}: it must be ${right}`);
  });
}

/**
 * The headers of a signed request, as Standard Webhooks 1.0 has them: HMAC-SHA256 over "ID.TIMESTAMP.BODY", base64, one for each secret. The id
 * is made of the body, so that a batch that comes again has the same; the timestamp, in seconds, is that of the try.
 */
export function signedHeaders(
  body: string,
  secrets: readonly Uint8Array[],
  nowMs: number,
): Readonly<Record<string, string>> {
  const id = `msg_${createHash("sha256").update(body).digest("base64url").slice(0, ID_DIGITS)}`;
  const timestamp = String(Math.floor(nowMs / 1_000));
  const content = `${id}.${timestamp}.${body}`;
  const signatures = secrets.map((secret) => `v1,${createHmac("sha256", secret).update(content).digest("base64")}`);
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

/** 162 bits. */
const ID_DIGITS = 27;
