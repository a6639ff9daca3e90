import fc from "fast-check";

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

/** Texts that have done harm somewhere. */
const HOSTILE: readonly string[] = [
  "__proto__",
  "constructor",
  "<img src=x onerror=alert(1)>",
  "\u001b[31mred\u001b[0m",
  "line\nbreak\r\n",
  "\u0000",
  "\u202edlrow",
  "\ud800",
  "' or 1=1; drop table devices; --",
  "../../../../etc/passwd",
  "%2e%2e%2f",
  ["$", "{jndi:ldap://127.0.0.1/x}"].join(""),
  "{{7*7}}",
  "x".repeat(300),
  "9".repeat(400),
  "-0",
  "NaN",
  "1e999",
  "true",
  "",
];
const DEVICES = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:ff"];

/** Any JSON at all. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(...HOSTILE, null, true, -1, 0, 2 ** 53, 1e308, [], {}),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>,
);

/** Values of a schema of the document; with `mischief` now and then one that is none. */
export function valuesOf(
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
  mischief = true,
): fc.Arbitrary<unknown> {
  const good = goodValues(schema, components, mischief);
  return mischief ? fc.oneof({ arbitrary: good, weight: 7 }, { arbitrary: anyJson, weight: 1 }) : good;
}

function goodValues(
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
  mischief: boolean,
): fc.Arbitrary<unknown> {
  const inner = (each: Schema): fc.Arbitrary<unknown> => valuesOf(each, components, mischief);
  if (schema.$ref !== undefined)
    return goodValues(components[schema.$ref.split("/").at(-1) as string] as Schema, components, mischief);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(inner));
  const [type] = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  switch (type) {
    case "object": {
      const { properties = {}, required = [] } = schema;
      const fields = Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, inner(each)]));
      const known = fc.record(fields, { requiredKeys: [...required] });
      const more = mischief
        ? fc.oneof(
            { arbitrary: fc.constant({}), weight: 9 },
            { arbitrary: fc.dictionary(fc.constantFrom(...HOSTILE), anyJson, { maxKeys: 2 }), weight: 1 },
          )
        : fc.constant({});
      return fc.tuple(known, more).map(([one, other]) => ({ ...other, ...one }));
    }
    case "array":
      return fc.array(inner(schema.items ?? {}), { maxLength: Math.min(schema.maxItems ?? 3, 3) });
    case "integer":
    case "number": {
      const least = schema.minimum === undefined || schema.minimum < -10 ? -10 : schema.minimum;
      return fc.oneof(
        fc.integer({ min: least, max: Math.max(least, Math.min(schema.maximum ?? 100, 100)) }),
        fc.constantFrom(schema.minimum ?? 0, Math.min(schema.maximum ?? 0, Number.MAX_SAFE_INTEGER)),
      );
    }
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return texts(schema);
  }
}

function texts({ pattern, format, maxLength = 40 }: Schema): fc.Arbitrary<string> {
  if (format === "date-time") return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
  if (pattern?.includes(":") === true) return fc.constantFrom(...DEVICES);
  if (pattern?.includes("{12}") === true) return fc.constant("0123456789ab");
  if (format === "base64" || pattern?.includes("A-Za-z0-9+") === true)
    return fc.base64String({ maxLength: Math.min(maxLength, 80) });
  if (pattern !== undefined)
    return fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("hex"));
  return fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: "binary", maxLength: Math.min(maxLength, 40) }));
}
