import { z } from "zod";
import type { EnrolledDevice } from "../../control/methods.ts";

/** The most of any text that is taken; the methods judge what is in it. */
const LONGEST_TEXT = 256;
export const TEN_YEARS_MS: number = 3_653 * 86_400_000;

export const text = (): z.ZodString => z.string().max(LONGEST_TEXT);
export const moment = (): z.ZodString => z.string().meta({ format: "date-time" });
export const count = (): z.ZodInt => z.int().min(0);
export const milliseconds = (): z.ZodInt => z.int().min(0).max(TEN_YEARS_MS);
export const deviceId: z.ZodString = z
  .string()
  .regex(/^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/)
  .meta({ id: "DeviceId", description: "Six bytes in hex.", examples: ["02:00:00:00:00:01"] });
export const transport: z.ZodEnum<{ tcp: "tcp"; udp: "udp" }> = z.enum(["tcp", "udp"]);
export const keyDigits: z.ZodString = z
  .string()
  .regex(/^([0-9A-Fa-f]{2})+$/)
  .max(1_024);
export const batch: z.ZodString = text().meta({ examples: ["2026-11"] });

export const nothing: z.ZodType<Readonly<Record<string, never>>> = z.strictObject({});
export const oneDevice: z.ZodType<{ id: string }> = z.strictObject({ id: deviceId });

export const enrolledDevice: z.ZodType<EnrolledDevice> = exactly<EnrolledDevice>()(
  z
    .object({
      id: deviceId,
      name: z.string().nullable(),
      psk: z.string().meta({ description: "The key: 64 hex digits, or `hex:` and more. It is shown nowhere else." }),
      generation: z.int(),
      graceEndsAt: moment().exactOptional(),
    })
    .meta({ id: "EnrolledDevice" }),
);

type KeysOf<T> = T extends unknown ? keyof T : never;

/** A schema of a declared type, with every field of it, the optional ones too: what the compiler alone would let be missing. */
export function exactly<T>(): <S extends z.ZodType<T>>(
  schema: S & (KeysOf<T> extends KeysOf<z.output<S>> ? unknown : { missing: Exclude<KeysOf<T>, KeysOf<z.output<S>>> }),
) => S {
  return (schema) => schema;
}
