import { Secret } from "@usmp/protocol";

/** A key on its way to a worker; `label` as LabelledPsk has it. */
export interface CarriedKey {
  readonly secret: Secret;
  readonly label: number | undefined;
}

/** request(4), count(1), then for each: labelled(1), label(4), length(2), bytes. The answer is the caller's to wipe. */
export function encodeKeys(request: number, keys: readonly CarriedKey[]): Uint8Array {
  const length = keys.reduce((sum, { secret }) => sum + 7 + secret.length, 5);
  const bytes = Buffer.allocUnsafeSlow(length);
  bytes.writeUInt32LE(request, 0);
  bytes[4] = keys.length;
  let at = 5;
  for (const { secret, label } of keys) {
    bytes[at] = label === undefined ? 0 : 1;
    bytes.writeUInt32LE(label ?? 0, at + 1);
    bytes.writeUInt16LE(secret.length, at + 5);
    bytes.set(secret.expose(), at + 7);
    at += 7 + secret.length;
  }
  return bytes;
}

/** What encodeKeys() laid out. Wipes it. */
export function decodeKeys(body: Buffer): { readonly request: number; readonly keys: readonly CarriedKey[] } {
  const request = body.readUInt32LE(0);
  const keys: CarriedKey[] = [];
  let at = 5;
  for (let left = body[4] as number; left > 0; left--) {
    const length = body.readUInt16LE(at + 5);
    const label = body[at] === 0 ? undefined : body.readUInt32LE(at + 1);
    keys.push({ secret: new Secret(body.subarray(at + 7, at + 7 + length)), label });
    at += 7 + length;
  }
  body.fill(0);
  return { request, keys };
}
