import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Secrets by name. */
export type Secrets = ReadonlyMap<string, Uint8Array>;

/** Where a secret was found, and how it was written there. */
export interface Finding {
  readonly secret: string;
  readonly written: string;
  readonly where: string;
}

/** How a program could write bytes: as they are, and as texts. Halves are enough to find a whole one that is broken over lines. */
function spellings(secret: Uint8Array): ReadonlyMap<string, Buffer> {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString("hex");
  const base64 = bytes.toString("base64").replace(/=+$/, "");
  // Whole groups of three bytes, so that a longer text around the secret has them too, at each of the three phases.
  const phases = [0, 1, 2].map((skip) =>
    bytes.subarray(skip, skip + 3 * Math.floor((bytes.length - skip) / 3)).toString("base64"),
  );
  const list = (separator: string): string => [...bytes].join(separator);
  return new Map([
    ["bytes", bytes],
    ["hex", Buffer.from(hex)],
    ["hex in capitals", Buffer.from(hex.toUpperCase())],
    ["hex, first half", Buffer.from(hex.slice(0, hex.length / 2))],
    ["hex, second half", Buffer.from(hex.slice(hex.length / 2))],
    ["hex of its hex", Buffer.from(Buffer.from(hex).toString("hex"))],
    ["base64 of its hex", Buffer.from(Buffer.from(hex).toString("base64").replace(/=+$/, "").slice(0, -2))],
    ...phases.map((text, phase) => [`base64, phase ${phase}`, Buffer.from(text.slice(phase === 0 ? 0 : 2))] as const),
    ["base64url", Buffer.from(base64.replaceAll("+", "-").replaceAll("/", "_"))],
    ["numbers", Buffer.from(list(","))],
    ["numbers, spaced", Buffer.from(list(", "))],
    ["a printed Buffer", Buffer.from(hex.match(/../g)?.slice(0, 16).join(" ") ?? "")],
    [
      "C bytes",
      Buffer.from(
        [...bytes]
          .slice(0, 8)
          .map((byte) => `0x${byte.toString(16).padStart(2, "0")}`)
          .join(", "),
      ),
    ],
  ]);
}

/** Searches outputs and files, by name, for every spelling of every secret. */
export function searchFor(secrets: Secrets, places: ReadonlyMap<string, Buffer>): readonly Finding[] {
  const found: Finding[] = [];
  for (const [secret, bytes] of secrets) {
    for (const [written, needle] of spellings(bytes)) {
      for (const [where, content] of places) if (content.includes(needle)) found.push({ secret, written, where });
    }
  }
  return found;
}

/** Every file below a directory, with its content. */
export function filesBelow(directory: string): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const path = join(directory, name);
    if (statSync(path).isFile()) files.set(path, readFileSync(path));
  }
  return files;
}
