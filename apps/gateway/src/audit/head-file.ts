import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Secret } from "@usmp/protocol";
import { codeOf, writeSecretFile } from "../master/secret-file.ts";
import { sameMac } from "./chain.ts";

/** Its name in the data directory. */
export const HEAD_FILE = "audit.head";

/** A place in the chain: how many rows, and the MAC of the last. */
export interface Head {
  readonly seq: number;
  readonly mac: Uint8Array;
}

/**
 * What the second place says: the head that is known to be in the database, and the one that a change was about to make. The database
 * must be at one of the two: a crash between writing here and committing there is no cut tail.
 */
export interface KnownHeads {
  readonly committed: Head;
  readonly prepared: Head | undefined;
}

/** The audit keys by the master that they come from; rows and heads of former masters stay verifiable. */
export type AuditKeyOf = (masterId: string) => Secret | undefined;

/**
 * The second place of the audit chain's head: a file that is not the database. Its own MAC, under the audit key, tells a file that was
 * edited from one that is right.
 */
export class HeadFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Durable when it resolves, if asked for. */
  async write(heads: KnownHeads, masterId: string, key: Secret, durable: boolean): Promise<void> {
    const body = {
      master: masterId,
      committed: show(heads.committed),
      prepared: heads.prepared && show(heads.prepared),
    };
    const line = JSON.stringify({ ...body, mac: macOf(key, JSON.stringify(body)).toString("hex") });
    await writeSecretFile(this.path, Buffer.from(`${line}\n`), { replace: true, durable });
  }

  /** "missing" when there is no file, "forged" when it was not written with one of these keys. */
  async read(keyOf: AuditKeyOf): Promise<KnownHeads | "missing" | "forged"> {
    let text: string;
    try {
      text = await readFile(this.path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return "missing";
      throw error;
    }
    try {
      const { mac, ...body } = JSON.parse(text) as {
        mac: string;
        master: string;
        committed: ShownHead;
        prepared?: ShownHead;
      };
      const key = keyOf(body.master);
      if (key === undefined || !sameMac(Buffer.from(mac, "hex"), macOf(key, JSON.stringify(body)))) return "forged";
      return { committed: parse(body.committed), prepared: body.prepared && parse(body.prepared) };
    } catch {
      return "forged";
    }
  }
}

function macOf(key: Secret, body: string): Buffer {
  return createHmac("sha256", key.expose()).update("usmp audit head\0").update(body).digest();
}

interface ShownHead {
  readonly seq: number;
  readonly mac: string;
}

function show({ seq, mac }: Head): ShownHead {
  return { seq, mac: Buffer.from(mac).toString("hex") };
}

function parse({ seq, mac }: ShownHead): Head {
  return { seq, mac: new Uint8Array(Buffer.from(mac, "hex")) };
}
