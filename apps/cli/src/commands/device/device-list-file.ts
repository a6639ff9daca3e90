import { readFile } from "node:fs/promises";
import type { AddParams } from "@usmp/gateway";
import { usage } from "../../failure.ts";

const LARGEST_FILE = 4_194_304;

/**
 * Devices from a file: one a line, `id,name,tags`, where tags are separated by blanks and everything may be empty. A first line that begins
 * with "id" is a heading; lines that begin with # are comments. Fields with commas stand in quotes (RFC 4180).
 */
export async function readDeviceList(path: string): Promise<readonly AddParams[]> {
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw usage(`--from-csv ${path}: ${error.message}`);
  });
  if (content.length > LARGEST_FILE) throw usage(`--from-csv ${path}: larger than ${LARGEST_FILE} bytes; split it`);
  const devices: AddParams[] = [];
  for (const [index, line] of content
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === "" || line.startsWith("#") || (index === 0 && /^"?id\b/i.test(line))) continue;
    const [id = "", name = "", tags = "", ...more] = fields(line, path, index + 1);
    if (more.length > 0)
      throw usage(`--from-csv ${path}, line ${index + 1}: more than three fields; put a name with commas into quotes`);
    devices.push({
      ...(id.trim() === "" ? {} : { id: id.trim() }),
      ...(name === "" ? {} : { name }),
      tags: tags.split(/\s+/).filter((tag) => tag !== ""),
    });
  }
  if (devices.length === 0) throw usage(`--from-csv ${path}: no device in it; write one a line, as id,name,tags`);
  return devices;
}

function fields(line: string, path: string, number: number): readonly string[] {
  const found = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)];
  if (found.reduce((length, [piece]) => length + piece.length, 0) !== line.length) {
    throw usage(`--from-csv ${path}, line ${number}: a quote is not closed, or stands inside a field`);
  }
  return found.map(([, quoted, plain]) => (quoted === undefined ? (plain ?? "") : quoted.replaceAll('""', '"')));
}
