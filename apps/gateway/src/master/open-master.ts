import { execFile } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import { MASTER_LENGTH, MasterSecret } from "./master-secret.ts";
import { openWithPassphrase, sealWithPassphrase } from "./passphrase-seal.ts";
import { messageOf, readSecretFile, syncDirectory, writeSecretFile } from "./secret-file.ts";
import { describeSource, type MasterSource, type MasterSurroundings } from "./sources.ts";

export interface OpenedMaster {
  readonly master: MasterSecret;
  /** True when this run made it. */
  readonly created: boolean;
}

const SEALED_FORMAT = "usmp master, sealed 1";
const COMMAND_LIMIT_MS = 30_000;
const SHORTEST_PASSPHRASE = 12;

/**
 * Opens the master secret. `expectedId` is what the database belongs to; undefined when it is new: only then a master is made.
 * A move to a new master that a crash cut short is finished here: its file "….next" takes the place of the old one.
 * Throws GatewayError "master-missing", "master-exposed", "master-mismatch", "master-source", "wrong-passphrase", "damaged".
 */
export async function openMaster(
  source: MasterSource,
  surroundings: MasterSurroundings,
  expectedId: string | undefined,
): Promise<OpenedMaster> {
  const found = await readSource(source, surroundings);
  if (found !== undefined && (expectedId === undefined || found.id === expectedId))
    return { master: found, created: false };
  const next = await finishMove(source, surroundings, expectedId);
  if (next !== undefined) {
    found?.wipe();
    return { master: next, created: false };
  }
  if (found !== undefined) {
    found.wipe();
    throw new GatewayError(
      "master-mismatch",
      `the ${describeSource(source)} holds master ${found.id}, but the database belongs to master ${expectedId}; give the right master, ` +
        "or the data directory that it came with",
    );
  }
  if (expectedId !== undefined) {
    throw new GatewayError(
      "master-missing",
      `the ${describeSource(source)} is missing, and the database belongs to master ${expectedId}: without it no key of a device can be ` +
        'made; bring it back, or restore a backup into an empty directory with "usmp restore FILE --data DIR"',
    );
  }
  return { master: await create(source, surroundings), created: true };
}

/** What Registry.rotateMaster() asks for: see NewMaster there. */
export interface PreparedMaster {
  readonly secret: MasterSecret;
  prepare(): Promise<void>;
  publish(): Promise<void>;
}

/**
 * The next master of a source. For files it is made here, lies beside the present one until the change is done, and then takes its place.
 * Elsewhere only the owner can make it: `given` is what the next start will find (read from a file of mode 0600).
 */
export function nextMaster(
  source: MasterSource,
  surroundings: MasterSurroundings,
  given: MasterSecret | undefined,
): PreparedMaster {
  const inFile = source.kind === "file" || source.kind === "sealed-file";
  if (!inFile && given === undefined) {
    throw new GatewayError(
      "usage",
      `the master secret comes from the ${describeSource(source)}, so its owner makes the next one: write it to a file of mode 0600 ` +
        `(usmp keygen > FILE), give it with --to FILE, and have the ${source.kind} give it from the next start on`,
    );
  }
  const secret = given ?? newMaster();
  return {
    secret,
    prepare: () => prepareNext(source, secret, surroundings),
    publish: () => publishNext(source),
  };
}

/** A new random master, that no source has yet. */
function newMaster(): MasterSecret {
  const bytes = new Uint8Array(new ArrayBuffer(MASTER_LENGTH));
  randomFillSync(bytes);
  return new MasterSecret(Secret.adopt(bytes));
}

/** Puts a new master beside the present one ("….next"), durable; publishNext() then makes it the one that the next start finds. */
async function prepareNext(
  source: MasterSource,
  master: MasterSecret,
  surroundings: MasterSurroundings,
): Promise<void> {
  if (source.kind !== "file" && source.kind !== "sealed-file") return;
  await writeMaster(source, nextPath(source.path), master, surroundings, true);
}

async function publishNext(source: MasterSource): Promise<void> {
  if (source.kind !== "file" && source.kind !== "sealed-file") return;
  await rename(nextPath(source.path), source.path);
  await syncDirectory(dirname(source.path));
}

/** Writes a master where the source has it: on restore. Throws GatewayError "master-source" when one is there. */
export async function installMaster(
  source: MasterSource & { readonly kind: "file" | "sealed-file" },
  master: MasterSecret,
  surroundings: MasterSurroundings,
): Promise<void> {
  if (!(await writeMaster(source, source.path, master, surroundings, false))) {
    throw new GatewayError("master-source", `${source.path} exists already; restore into an empty data directory`);
  }
}

/** Reads a master that was written as 64 hex digits. Wipes `digits`. */
export function parseMaster(digits: Uint8Array, name: string): MasterSecret {
  const text = Buffer.from(digits).toString("latin1").trim();
  digits.fill(0);
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new GatewayError(
      "master-source",
      `the ${name} does not hold 64 hex digits; "usmp keygen" makes such a secret`,
    );
  }
  return new MasterSecret(new Secret(Buffer.from(text, "hex")));
}

async function readSource(source: MasterSource, surroundings: MasterSurroundings): Promise<MasterSecret | undefined> {
  switch (source.kind) {
    case "file": {
      const digits = await readSecretFile(source.path, "the master secret");
      return digits === undefined ? undefined : parseMaster(digits, describeSource(source));
    }
    case "sealed-file":
      return readSealed(source.path, surroundings);
    case "variable": {
      const text = surroundings.variables[source.name];
      if (text === undefined || text === "") {
        throw new GatewayError(
          "master-source",
          `the environment variable ${source.name} is not set; it must hold 64 hex digits`,
        );
      }
      delete surroundings.variables[source.name];
      return parseMaster(Buffer.from(text), describeSource(source));
    }
    case "command":
      return parseMaster(await runCommand(source.words), describeSource(source));
  }
}

async function readSealed(path: string, surroundings: MasterSurroundings): Promise<MasterSecret | undefined> {
  const file = await readSecretFile(path, "the sealed master secret");
  if (file === undefined) return undefined;
  const passphrase = await ask(surroundings, `Passphrase of ${path}: `, false);
  try {
    return new MasterSecret(await openWithPassphrase(file, passphrase, SEALED_FORMAT, path));
  } finally {
    passphrase.wipe();
  }
}

/** A crash between the database's change and the rename leaves the new master under its first name. */
async function finishMove(
  source: MasterSource,
  surroundings: MasterSurroundings,
  expectedId: string | undefined,
): Promise<MasterSecret | undefined> {
  if (expectedId === undefined || (source.kind !== "file" && source.kind !== "sealed-file")) return undefined;
  const next = await readSource({ ...source, path: nextPath(source.path) }, surroundings);
  if (next?.id !== expectedId) {
    next?.wipe();
    return undefined;
  }
  await publishNext(source);
  return next;
}

async function create(source: MasterSource, surroundings: MasterSurroundings): Promise<MasterSecret> {
  const master = newMaster();
  if (source.kind !== "file" && source.kind !== "sealed-file") return master;
  if (await writeMaster(source, source.path, master, surroundings, false)) return master;
  master.wipe(); // another first run was faster
  return (await readSource(source, surroundings)) as MasterSecret;
}

async function writeMaster(
  source: MasterSource & { readonly kind: "file" | "sealed-file" },
  path: string,
  master: MasterSecret,
  surroundings: MasterSurroundings,
  replace: boolean,
): Promise<boolean> {
  const secret = master.copy();
  try {
    if (source.kind === "file") return await writeHex(path, secret, replace);
    const passphrase = await ask(surroundings, `Passphrase for ${source.path}: `, true);
    try {
      return await writeSecretFile(path, await sealWithPassphrase(secret, passphrase, SEALED_FORMAT), { replace });
    } finally {
      passphrase.wipe();
    }
  } finally {
    secret.wipe();
  }
}

async function writeHex(path: string, secret: Secret, replace: boolean): Promise<boolean> {
  const line = Buffer.from(`${Buffer.from(secret.expose()).toString("hex")}\n`);
  try {
    return await writeSecretFile(path, line, { replace });
  } finally {
    line.fill(0);
  }
}

async function ask(surroundings: MasterSurroundings, what: string, confirm: boolean): Promise<Secret> {
  if (surroundings.askPassphrase === undefined) {
    throw new GatewayError(
      "master-source",
      "the master secret is sealed with a passphrase, and there is nobody to ask for it",
    );
  }
  const passphrase = await surroundings.askPassphrase(what, confirm);
  if (confirm && passphrase.length < SHORTEST_PASSPHRASE) {
    passphrase.wipe();
    throw new GatewayError(
      "usage",
      `the passphrase has fewer than ${SHORTEST_PASSPHRASE} characters, and whoever has the file can try them for years; take six random words`,
    );
  }
  return passphrase;
}

/** What the command says on standard error is its user's to read; its output is a secret, and is never shown. */
function runCommand(words: readonly string[]): Promise<Uint8Array> {
  const [file, ...args] = words;
  if (file === undefined) throw new GatewayError("usage", "--master-command names no command");
  return new Promise((resolve, reject) => {
    const options = { encoding: "buffer", timeout: COMMAND_LIMIT_MS, maxBuffer: 4096, windowsHide: true } as const;
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      stdout.fill(0);
      const how =
        "code" in error && error.code !== undefined && error.code !== null
          ? `code ${error.code}`
          : messageOf(error).split("\n")[0];
      const said = stderr.toString("utf8").trim().split("\n").at(-1)?.slice(0, 200) ?? "";
      reject(
        new GatewayError(
          "master-source",
          `the command ${file} for the master secret failed (${how})${said === "" ? "" : `: ${said}`}`,
        ),
      );
    });
  });
}

function nextPath(path: string): string {
  return `${path}.next`;
}
