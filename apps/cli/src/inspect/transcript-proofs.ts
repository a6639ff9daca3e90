import {
  type Challenge,
  type CryptoProvider,
  clientProof,
  constantTimeEqual,
  type Hello,
  parseChallenge,
  parseHello,
  parseHelloAck,
  parseHelloRetry,
  parseSessionOk,
  type Secret,
  type SessionOk,
  serverProof,
  type Transcript,
} from "@usmp/protocol";
import { type Check, checked, failed, passed, skipped } from "./explanation.ts";

/** A recorded handshake that came to its end. */
export interface RecordedHandshake {
  readonly transcript: Transcript;
  readonly sessionId: Uint8Array;
}

/** How many different HELLOs and CHALLENGEs of one handshake are kept: datagrams repeat them, and an attacker may add some. */
const KEPT = 8;

/** Collects the handshake of a recording, message by message, and with a PSK verifies both proofs. */
export class TranscriptProofs {
  readonly #crypto: CryptoProvider;
  readonly #psk: Secret | undefined;
  #hellos: Hello[] = [];
  #challenges: Challenge[] = [];
  #cookie: Uint8Array | undefined;
  verified = 0;
  refuted = 0;

  constructor(crypto: CryptoProvider, psk: Secret | undefined) {
    this.#crypto = crypto;
    this.#psk = psk;
  }

  hello(payload: Uint8Array): Check[] {
    const hello = parseHello(payload);
    if (hello === undefined) return [failed("payload", `${payload.length} bytes; a HELLO has 38, or 54 with a cookie`)];
    const known = this.#hellos.some((earlier) => constantTimeEqual(earlier.publicKey, hello.publicKey));
    if (!known && hello.cookie === undefined) this.#forget();
    this.#hellos = [...this.#hellos, hello].slice(-KEPT);
    return [passed("payload", `${payload.length} bytes`), ...this.#checkCookie(hello)];
  }

  helloRetry(payload: Uint8Array): Check[] {
    this.#cookie = parseHelloRetry(payload);
    return [
      checked("payload", this.#cookie !== undefined, "16 bytes", `${payload.length} bytes; a HELLO_RETRY has 16`),
    ];
  }

  challenge(payload: Uint8Array): Check[] {
    const challenge = parseChallenge(payload);
    if (challenge === undefined) return [failed("payload", `${payload.length} bytes; a CHALLENGE has 64`)];
    this.#challenges = [...this.#challenges, challenge].slice(-KEPT);
    return [passed("payload", "64 bytes")];
  }

  helloAck(payload: Uint8Array): Check[] {
    const proof = parseHelloAck(payload);
    if (proof === undefined) return [failed("payload", `${payload.length} bytes; a HELLO_ACK has 32`)];
    const found = this.#verify("client's proof", proof, (psk, transcript) =>
      clientProof(this.#crypto, psk, transcript),
    );
    return [passed("payload", "32 bytes"), found.check];
  }

  sessionOk(payload: Uint8Array): { checks: Check[]; handshake?: RecordedHandshake } {
    const message = parseSessionOk(payload);
    if (message === undefined) return { checks: [failed("payload", `${payload.length} bytes; a SESSION_OK has 48`)] };
    const found = this.#verify("server's proof", message.proof, (psk, transcript) =>
      serverProof(this.#crypto, psk, transcript, message.sessionId),
    );
    const checks = [passed("payload", "48 bytes"), found.check];
    return found.transcript === undefined ? { checks } : { checks, handshake: handshakeOf(found.transcript, message) };
  }

  /** The check, and the transcript that belongs to it: without a PSK the last HELLO and CHALLENGE that were seen. */
  #verify(
    name: string,
    proof: Uint8Array,
    expected: (psk: Secret, transcript: Transcript) => Uint8Array,
  ): { check: Check; transcript?: Transcript } {
    const transcripts = this.#transcripts();
    const [latest] = transcripts;
    if (latest === undefined)
      return { check: skipped(name, "the recording lacks the HELLO or the CHALLENGE before it") };
    const psk = this.#psk;
    if (psk === undefined) return { check: skipped(name, "needs --psk or --psk-file"), transcript: latest };
    const proven = transcripts.find((transcript) => constantTimeEqual(proof, expected(psk, transcript)));
    if (proven === undefined) {
      this.refuted++;
      return { check: failed(name, "not made with this PSK over what came before"), transcript: latest };
    }
    this.verified++;
    return { check: passed(name, "made with this PSK over what came before"), transcript: proven };
  }

  /** Every HELLO with every CHALLENGE, the latest first. */
  #transcripts(): Transcript[] {
    const newestFirst = <Message>(messages: readonly Message[]): Message[] => [...messages].reverse();
    return newestFirst(this.#challenges).flatMap((challenge) =>
      newestFirst(this.#hellos).map((hello) => ({
        deviceId: hello.deviceId,
        nonce: challenge.nonce,
        clientPublicKey: hello.publicKey,
        serverPublicKey: challenge.publicKey,
      })),
    );
  }

  #checkCookie({ cookie }: Hello): Check[] {
    if (cookie === undefined) return [];
    if (this.#cookie === undefined) return [skipped("cookie", "the recording lacks the HELLO_RETRY before it")];
    const same = constantTimeEqual(cookie, this.#cookie);
    return [checked("cookie", same, "the one of the HELLO_RETRY", "not the one of the last HELLO_RETRY")];
  }

  #forget(): void {
    this.#hellos = [];
    this.#challenges = [];
    this.#cookie = undefined;
  }
}

function handshakeOf(transcript: Transcript, { sessionId }: SessionOk): RecordedHandshake {
  return { transcript, sessionId };
}
