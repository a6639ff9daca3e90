import { Secret } from "@usmp/protocol";
import { usage } from "../failure.ts";

/** What --key gave: both keys of a session's first epoch, or the ephemeral private key of one side or both. */
export interface InspectionKeys {
  readonly clientToServer?: Secret;
  readonly serverToClient?: Secret;
  readonly client?: Secret;
  readonly server?: Secret;
}

const NAMES = { c2s: "clientToServer", s2c: "serverToClient", client: "client", server: "server" } as const;
const GRAMMAR =
  "write 128 hex digits (c2s then s2c), c2s:HEX,s2c:HEX, client:HEX or server:HEX, with 64 hex digits for each HEX";

/** Parses --key. Throws with exit code 2; the message never shows any of it. */
export function parseInspectionKeys(written: string): InspectionKeys {
  if (/^[0-9a-f]{128}$/i.test(written)) {
    return { clientToServer: secret(written.slice(0, 64)), serverToClient: secret(written.slice(64)) };
  }
  const keys: { -readonly [Name in keyof InspectionKeys]: InspectionKeys[Name] } = {};
  for (const part of written.split(",")) {
    const match = /^(c2s|s2c|client|server):([0-9a-f]{64})$/i.exec(part.trim());
    if (match === null) throw usage(`--key: a part of it has no such form; ${GRAMMAR}`);
    keys[NAMES[(match[1] as string).toLowerCase() as keyof typeof NAMES]] = secret(match[2] as string);
  }
  if ((keys.clientToServer === undefined) !== (keys.serverToClient === undefined)) {
    throw usage(`--key: one direction's key alone cannot follow a REKEY; ${GRAMMAR}`);
  }
  return keys;
}

function secret(digits: string): Secret {
  return Secret.adopt(Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
}
