import { Secret } from "@usmp/protocol";
import { checkKeyStrength, formatDeviceId, parseDeviceId } from "usmp";
import { GatewayError } from "../errors.ts";
import type { GatewayOptions } from "../gateway/gateway.ts";
import type { DeviceId } from "../records.ts";

const LONGEST_NAME = 64;
const TAG = /^[\p{L}\p{N}][\p{L}\p{N}._:-]{0,31}$/u;
const MOST_TAGS = 32;

/** A device id as it is kept: six bytes, lower case. */
export function idOf(given: unknown): DeviceId {
  if (typeof given !== "string")
    throw new GatewayError("usage", "the device id is missing; write it as aa:bb:cc:dd:ee:ff");
  try {
    return formatDeviceId(parseDeviceId(given, "device id"));
  } catch (error) {
    throw new GatewayError(
      "usage",
      `${error instanceof Error ? error.message : String(error)}; write six bytes in hex, with colons`,
    );
  }
}

/** A name for people; undefined for none. */
export function nameOf(given: unknown): string | undefined {
  if (given === undefined || given === null || given === "") return undefined;
  if (typeof given !== "string" || [...given].length > LONGEST_NAME || /[\p{C}\p{Zl}\p{Zp}]/u.test(given)) {
    throw new GatewayError("usage", `name ${JSON.stringify(given)}: at most ${LONGEST_NAME} printable characters`);
  }
  return given;
}

export function tagsOf(given: unknown): readonly string[] {
  if (given === undefined) return [];
  if (!Array.isArray(given) || given.length > MOST_TAGS) throw new GatewayError("usage", `at most ${MOST_TAGS} tags`);
  for (const tag of given) {
    if (typeof tag !== "string" || !TAG.test(tag)) {
      throw new GatewayError(
        "usage",
        `tag ${JSON.stringify(tag)}: letters, digits and . _ : - alone, at most 32 of them`,
      );
    }
  }
  return [...new Set(given as string[])].sort();
}

export function batchOf(given: unknown): string {
  if (typeof given === "string" && TAG.test(given)) return given;
  throw new GatewayError(
    "usage",
    `batch ${JSON.stringify(given)}: letters, digits and . _ : - alone, at most 32 of them`,
  );
}

/** A key that was brought along, in hex digits, held to the policy. The caller's to wipe. */
export async function importedKey(
  digits: string,
  allowWeak: boolean,
  { development, estimateTextBits }: Pick<GatewayOptions, "development" | "estimateTextBits">,
): Promise<Secret> {
  if (!/^([0-9a-f]{2})+$/i.test(digits))
    throw new GatewayError("usage", "the key that was brought along is not hex digits");
  const bytes = Buffer.from(digits, "hex");
  const key = new Secret(bytes);
  bytes.fill(0);
  try {
    await checkKeyStrength(
      { form: "hex", key },
      { development, allowWeak, estimateTextBits },
      "the key that was brought along",
    );
    return key;
  } catch (error) {
    key.wipe();
    throw new GatewayError("usage", error instanceof Error ? error.message : String(error));
  }
}
