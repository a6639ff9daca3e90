import type { KeyForm } from "../keys/forms.ts";
import { formatTime } from "../records.ts";
import type { Explanation } from "./cause.ts";
import type { RefusalRecord } from "./refusal-record.ts";

/** What a record means to the owner of the device: the cause in one line, what speaks for it, and what to do. */
export function explain(record: Pick<RefusalRecord, "cause" | "claimedId" | "transport" | "peer">): Explanation {
  const { cause, transport } = record;
  const id = record.claimedId ?? "ID";
  switch (cause.cause) {
    case "unknown-device":
      return {
        says:
          cause.deletedAt === undefined
            ? `${id} is not enrolled here`
            : `${id} was deleted on ${formatTime(cause.deletedAt)}`,
        evidence: ["it sent HELLO and HELLO_ACK as a device does; the id is claimed, not proven"],
        fix: [`usmp device add ${id}`],
      };
    case "wrong-key":
      return cause.form === undefined ? wrongKey(id, cause.tried) : wrongForm(id, cause.form);
    case "development-key":
      return {
        says: `${id} holds the published development key, which everyone has`,
        evidence: [
          "its proof was made with usmp-dev-psk-change-me-before-prod; that key is never accepted for an enrolled device",
        ],
        fix: [`usmp device rotate ${id} --replace`, "put the key that this prints into the device"],
      };
    case "published-key":
      return {
        says: `${id} holds an example key from public documentation: ${cause.name}`,
        evidence: ["its proof was made with that text"],
        fix: [`usmp device rotate ${id} --replace`, "put the key that this prints into the device"],
      };
    case "key-of-another-device":
      return {
        says: `${id} holds the key of another device`,
        evidence: [
          "its proof was made with the key of another enrolled device; perhaps a program was copied with its key",
        ],
        fix: [`usmp device rotate ${id} --replace`, "put the key that this prints into the device"],
      };
    case "old-generation":
      return oldGeneration(id, cause.holds, cause.current);
    case "revoked":
      return {
        says: `${id} is revoked since ${formatTime(cause.since)}`,
        evidence: [heldWords(cause.held)],
        fix: [`usmp device delete ${id}`, `usmp device add ${id}`, "put the key that this prints into the device"],
      };
    case "suspended":
      return {
        says: `${id} is suspended since ${formatTime(cause.since)}`,
        evidence: [heldWords(cause.held)],
        fix: [`usmp device resume ${id}`],
      };
    case "own-device-id":
      return {
        says: `the HELLO carried this host's own device id (${id})`,
        evidence: ["somebody sent our own HELLO back to us, or two programs use one id"],
        fix: ["give each program a device id of its own"],
      };
    case "version":
      return {
        says: `the peer speaks protocol version ${cause.saw}; this gateway speaks version 2`,
        evidence: [`byte 2 of the first frame is ${hexByte(cause.saw)}, and 02 is right`],
        fix: ["update the library on the device to one that speaks USMP version 2"],
      };
    case "malformed-frame":
      return {
        says: `malformed frame at offset ${cause.offset} of the ${cause.during} (${cause.violation})`,
        evidence: [
          transport === "tcp"
            ? `after ${cause.offset} good bytes of the connection came one that is wrong`
            : `the datagram is wrong at byte ${cause.offset}`,
        ],
        fix: [
          VIOLATION_FIX[cause.violation] ?? "look at what the device sends: usmp inspect FILE explains recorded frames",
        ],
      };
    case "not-usmp":
      return {
        says: `what came is not USMP${cause.looksLike === undefined ? "" : `: it looks like ${cause.looksLike}`}`,
        evidence: ["the first bytes are not a frame's (CD AB)"],
        fix: [
          cause.looksLike === undefined
            ? "check that the client is meant for this port"
            : `send ${cause.looksLike} clients to another port: this one speaks USMP alone, without TLS around it`,
        ],
      };
    case "over-budget":
      return {
        says: `the address is over its budget (${cause.limit})`,
        evidence: ["an address at which no device proved itself lately may begin 20 handshakes a second"],
        fix: [
          "find what connects so often: usmp why lists the failed attempts of the same address; devices should wait longer between tries",
        ],
      };
    case "timeout":
      return timeout(id, cause.awaiting, transport);
    case "connection-lost":
      return {
        says: `the connection ended in the handshake${cause.awaiting === undefined ? "" : `, while ${cause.awaiting} was awaited`}${cause.message === undefined ? "" : ` (${cause.message})`}`,
        evidence: [
          cause.awaiting === "HELLO_ACK"
            ? "the device went away after CHALLENGE: it has a short timeout, was reset, or the network broke"
            : "the peer closed before it had sent a whole HELLO: a port scan, a health check, or a broken network",
        ],
        fix: ["if it is a device of yours, look at its log for this moment, and raise its handshake timeout to 10 s"],
      };
    case "server-full":
      return {
        says: "the gateway had no room for one more session",
        evidence: ["all session places were taken; established sessions go on"],
        fix: ["usmp device list shows who is connected; end sessions that are not needed, or run a second gateway"],
      };
    case "registry-stale":
      return {
        says: `the database has not been reached for ${Math.round(cause.ageMs / 1000)} s: nobody new is admitted`,
        evidence: ["a revocation could be missing from the copy in memory; established sessions live on"],
        fix: ["bring the database back; usmp doctor says what is wrong with it"],
      };
    case "internal":
      return {
        says: `the gateway itself failed: ${cause.message}`,
        evidence: ["this is no fault of the device"],
        fix: ["usmp doctor"],
      };
  }
}

function wrongKey(id: string, tried: boolean): Explanation {
  return {
    says: `${id} does not hold its key`,
    evidence: [
      tried
        ? "its proof was made with none of: its key, its old keys, its key in another form, the published keys, keys of other devices"
        : "so many wrong keys came at once that this one was not looked into",
    ],
    fix: [`usmp device rotate ${id} --replace`, "put the key that this prints into the device"],
  };
}

const FORM_SAYS: { readonly [Form in KeyForm]: string } = {
  text: "the device holds the TEXT form of its key: the 64 hex digits themselves, where the 32 bytes that they stand for are meant",
  "hex-decoded": "the device holds the HEX-DECODED form of its key: it made bytes of digits that are meant as text",
  "upper-case-text": "the device holds the TEXT form of its key, in CAPITALS",
  "trailing-newline": "the device holds its key with a LINE END behind it, read from a file perhaps",
  "cut-at-zero": "the device holds only the beginning of its key: a C string function CUT it at the first zero byte",
};

/** Commands and lines of code; which of them is in use, the gateway cannot know. */
const FORM_FIX: { readonly [Form in KeyForm]: readonly string[] } = {
  text: ["on the device, decode the 64 hex digits to 32 bytes before use (Python: bytes.fromhex(key))"],
  "hex-decoded": ["on the device, use the characters of the key as they are (Python: key.encode())"],
  "upper-case-text": ["on the device, decode the 64 hex digits to 32 bytes before use (Python: bytes.fromhex(key))"],
  "trailing-newline": ["on the device, take the line end off the key before use (Python: key.strip())"],
  "cut-at-zero": ["on the device, pass the key with its length, never to strlen()"],
};

function wrongForm(id: string, form: KeyForm): Explanation {
  return {
    says: `${id}: ${FORM_SAYS[form]}`,
    evidence: ["its proof was made with exactly that; nothing else is wrong with it"],
    fix: FORM_FIX[form],
  };
}

function oldGeneration(id: string, holds: number, current: number): Explanation {
  if (holds === current) {
    return {
      says: `${id} holds its present key, generation ${current}, which was not good yet when it came`,
      evidence: ["the key was changed while the device was connecting"],
      fix: [`usmp device show ${id}`],
    };
  }
  return {
    says: `${id} holds an old key, generation ${holds}; the present one is generation ${current}`,
    evidence: ["its proof was made with a key that was good once, and has been replaced"],
    fix: [`usmp device rotate ${id} --replace`, "put the key that this prints into the device"],
  };
}

function heldWords(held: boolean | undefined): string {
  if (held === undefined) return "the proof was not looked into";
  return held
    ? "the proof was made with a key of this device: it is the device itself, or whoever has its key"
    : "the proof was not made with any key of this device";
}

function timeout(id: string, awaiting: string, transport: string): Explanation {
  switch (awaiting) {
    case "HELLO":
      return {
        says: "timeout at step 1: no HELLO came",
        evidence: ["the connection was opened and nothing, or less than a frame, was sent"],
        fix: ["check that the device speaks USMP and sends first; port scanners and health checks look like this, too"],
      };
    case "HELLO_ACK":
      return {
        says: `timeout at step 3: ${id} sent HELLO and did not answer CHALLENGE`,
        evidence: [
          transport === "udp"
            ? "CHALLENGE was sent several times; it does not reach the device, or the device gave up"
            : "the device is slow, hangs, or does not read what comes",
        ],
        fix: ["check that packets of up to 76 bytes reach the device, and that it waits for CHALLENGE for 10 s"],
      };
    case "SESSION_OK":
      return {
        says: `timeout at step 4: ${id} did not acknowledge SESSION_OK`,
        evidence: ["its proof was good; our last frame does not reach it, or it was switched off"],
        fix: ["check the network between gateway and device in both directions"],
      };
    default:
      return {
        says: `timeout: the gateway was too slow (${awaiting})`,
        evidence: ["the device had done its part"],
        fix: ["usmp doctor"],
      };
  }
}

const VIOLATION_FIX: { readonly [violation: string]: string } = {
  "bad-crc": "a damaged line, or a CRC computed otherwise: it is CRC-16/IBM over bytes 0 to 9 and the payload",
  "oversized-payload": "a payload has at most 480 bytes; a message is split over at most 4 frames",
  "bad-length": "on TCP a HELLO has 38 bytes of payload, and no cookie",
  truncated: "one frame per datagram, whole",
  "trailing-bytes": "one frame per datagram, nothing behind it",
};

function hexByte(value: number): string {
  return value.toString(16).padStart(2, "0");
}
