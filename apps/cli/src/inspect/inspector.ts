import {
  type CryptoProvider,
  decodeFrame,
  decodeUtack,
  type Frame,
  FrameType,
  frameTypeName,
  isSessionType,
  looksLikeUtack,
  payloadOf,
  plaintextLength,
  type Secret,
} from "@usmp/protocol";
import { dissectFrame, dissectUtack, littleEndian } from "./dissect.ts";
import { type Check, checked, type Direction, type Explanation, failed, passed, skipped } from "./explanation.ts";
import type { InspectionKeys } from "./keys.ts";
import { MessageAssembly } from "./message-assembly.ts";
import { RecordedKeys } from "./recorded-keys.ts";
import type { Piece } from "./recording.ts";
import { SequenceCheck } from "./sequence-check.ts";
import { TranscriptProofs } from "./transcript-proofs.ts";

/** What a recording as a whole shows. */
export interface Summary {
  readonly pieces: number;
  readonly failedChecks: number;
  readonly proofsVerified: number;
  readonly proofsRefuted: number;
  readonly sealedFrames: number;
  readonly openedFrames: number;
}

type Findings = Pick<Explanation, "checks" | "plaintext" | "message"> & { readonly from?: Direction | undefined };

/** Explains a recording piece by piece; each is judged by what came before it. Any bytes give an explanation. */
export class Inspector {
  readonly #proofs: TranscriptProofs;
  readonly #keys: RecordedKeys;
  readonly #sequence: SequenceCheck = new SequenceCheck();
  readonly #assembly: MessageAssembly = new MessageAssembly();
  readonly #seen: Set<string> = new Set();
  #halfSessionId: Uint8Array | undefined;
  #pieces = 0;
  #failedChecks = 0;
  #sealed = 0;
  #opened = 0;

  constructor(crypto: CryptoProvider, psk: Secret | undefined, keys: InspectionKeys) {
    this.#proofs = new TranscriptProofs(crypto, psk);
    this.#keys = new RecordedKeys(crypto, keys);
  }

  explain({ bytes, from }: Piece): Explanation {
    const explanation = looksLikeUtack(bytes) ? this.#explainUtack(bytes, from) : this.#explainFrame(bytes, from);
    this.#failedChecks += explanation.checks.filter(({ result }) => result === "failed").length;
    return { index: ++this.#pieces, ...explanation };
  }

  get summary(): Summary {
    return {
      pieces: this.#pieces,
      failedChecks: this.#failedChecks,
      proofsVerified: this.#proofs.verified,
      proofsRefuted: this.#proofs.refuted,
      sealedFrames: this.#sealed,
      openedFrames: this.#opened,
    };
  }

  wipe(): void {
    this.#keys.wipe();
  }

  #explainFrame(bytes: Uint8Array, from: Direction | undefined): Omit<Explanation, "index"> {
    const { fields, checks } = dissectFrame(bytes);
    const frame = decodeFrame(bytes);
    if (typeof frame === "string") {
      const type = frame === "bad-magic" || bytes.length < 4 ? undefined : frameTypeName(bytes[3] as number);
      return { from, type, bytes, fields, checks };
    }
    const sender = from ?? handshakeSender(frame.type);
    const findings = isSessionType(frame.type) ? this.#sessionFrame(frame, sender) : this.#handshakeFrame(frame, from);
    this.#seen.add(`${frame.type} ${frame.seq}`);
    return {
      ...findings,
      from: findings.from ?? sender,
      type: frameTypeName(frame.type),
      bytes,
      fields,
      checks: [...checks, ...findings.checks],
    };
  }

  #handshakeFrame(frame: Frame, from: Direction | undefined): Findings {
    const payload = payloadOf(frame);
    const expected = handshakeSender(frame.type);
    const sender =
      from === undefined || expected === undefined
        ? []
        : [checked("sender", from === expected, `the ${expected} sends it`, `only the ${expected} sends it`)];
    const checks = this.#handshakePayload(frame.type, payload);
    return { checks: [...sender, ...checks] };
  }

  #handshakePayload(type: number, payload: Uint8Array): readonly Check[] {
    switch (type) {
      case FrameType.HELLO:
        if (payload.length > 38) this.#sequence.noteDatagrams();
        return this.#proofs.hello(payload);
      case FrameType.HELLO_RETRY:
        this.#sequence.noteDatagrams();
        return this.#proofs.helloRetry(payload);
      case FrameType.CHALLENGE:
        return this.#proofs.challenge(payload);
      case FrameType.HELLO_ACK:
        return this.#proofs.helloAck(payload);
      case FrameType.SESSION_OK: {
        const { checks, handshake } = this.#proofs.sessionOk(payload);
        if (handshake === undefined) return checks;
        this.#halfSessionId = handshake.sessionId.subarray(0, 8);
        this.#sequence.begin();
        this.#assembly.clear();
        return [...checks, ...this.#keys.begin(handshake)];
      }
      default:
        return [skipped("meaning", "ERROR carries no authentication: a receiver ignores it")];
    }
  }

  #sessionFrame(frame: Frame, from: Direction | undefined): Findings {
    this.#sealed++;
    if (plaintextLength(frame.bytes) < 0) {
      return {
        checks: [failed("payload", `${payloadOf(frame).length} bytes; a sealed one has at least 28: nonce and tag`)],
      };
    }
    const nonce = this.#nonceChecks(frame);
    this.#keys.beginWithin(frame.bytes.subarray(16, 24));
    const opened = this.#keys.known ? this.#keys.open(frame, from) : undefined;
    const sender = from ?? opened?.from;
    const checks = [...nonce, this.#sequence.check(sender, frame.seq)];
    if (frame.type === FrameType.REKEY) this.#sequence.noteRekey();
    if (opened === undefined) return { from: sender, checks: [...checks, this.#closedCheck()] };

    this.#opened++;
    checks.push(passed("tag", `opened with the ${opened.from}'s key of epoch ${opened.epoch}`));
    if (frame.type === FrameType.REKEY) checks.push(this.#rekeyCheck(opened));
    else if (frame.type !== FrameType.DATA && frame.type !== FrameType.DATA_FRAG) {
      checks.push(
        checked(
          "plaintext",
          opened.plaintext.length === 0,
          "none, as it must be",
          `${opened.plaintext.length} bytes; this type has none`,
        ),
      );
    }
    const message = this.#assembly.add(opened.from, frame.type, opened.plaintext);
    return { from: sender, checks, plaintext: opened.plaintext, message };
  }

  #nonceChecks({ bytes, seq }: Frame): Check[] {
    const clear = littleEndian(bytes.subarray(12, 16));
    const checks = [
      checked(
        "nonce seq",
        clear === seq,
        `${seq}, as in the header`,
        `${clear}, but the header has ${seq}; refused before decryption`,
      ),
    ];
    const known = this.#halfSessionId;
    const name = "nonce session";
    if (known === undefined) checks.push(skipped(name, "the recording lacks the SESSION_OK"));
    else {
      const same = known.every((byte, index) => byte === bytes[16 + index]);
      checks.push(
        checked(
          name,
          same,
          "the session id's first 8 bytes",
          "not the session id's first 8 bytes; refused before decryption",
        ),
      );
    }
    return checks;
  }

  #closedCheck(): Check {
    return this.#keys.known
      ? failed("tag", "none of the given keys opens it")
      : skipped("tag", "needs --key; a PSK cannot open recorded traffic (forward secrecy)");
  }

  #rekeyCheck(opened: { readonly plaintext: Uint8Array; readonly from: Direction; readonly epoch: number }): Check {
    if (opened.plaintext.length !== 32) return failed("salt", `${opened.plaintext.length} bytes; a REKEY has 32`);
    return this.#keys.rekey(opened)
      ? passed("salt", "32 bytes; the next epoch's keys were derived")
      : skipped("salt", "the next keys depend on the whole session id: the recording lacks the SESSION_OK");
  }

  #explainUtack(bytes: Uint8Array, from: Direction | undefined): Omit<Explanation, "index"> {
    this.#sequence.noteDatagrams();
    const { fields, checks } = dissectUtack(bytes);
    const utack = decodeUtack(bytes);
    if (utack === undefined) return { from, type: "UTACK", bytes, fields, checks };
    const known = this.#seen.has(`${utack.type} ${utack.seq}`);
    const found = known
      ? passed("acknowledges", "a frame of this recording")
      : skipped("acknowledges", "a frame that the recording lacks");
    const mac =
      utack.mac === undefined
        ? []
        : [
            this.#keys.known
              ? checked(
                  "mac",
                  this.#keys.acknowledges(utack),
                  "made with a key of this session",
                  "made with no key of this session",
                )
              : skipped("mac", "needs --key"),
          ];
    return { from, type: "UTACK", bytes, fields, checks: [...checks, found, ...mac] };
  }
}

function handshakeSender(type: number): Direction | undefined {
  switch (type) {
    case FrameType.HELLO:
    case FrameType.HELLO_ACK:
      return "client";
    case FrameType.HELLO_RETRY:
    case FrameType.CHALLENGE:
    case FrameType.SESSION_OK:
      return "server";
    default:
      return undefined;
  }
}
