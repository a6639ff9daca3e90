import {
  type CryptoProvider,
  constantTimeEqual,
  type Frame,
  openFrame,
  plaintextLength,
  type RecordKey,
  rekeyInfo,
  type Secret,
  sessionKeyInfo,
  type TrafficKeys,
  type Utack,
} from "@usmp/protocol";
import type { Direction } from "./explanation.ts";
import { type Check, failed, passed } from "./explanation.ts";
import type { InspectionKeys } from "./keys.ts";
import type { RecordedHandshake } from "./transcript-proofs.ts";

export interface Opened {
  readonly plaintext: Uint8Array;
  readonly from: Direction;
  /** 0, and one more for each REKEY. */
  readonly epoch: number;
}

/** The traffic keys of a recorded session, epoch by epoch, as --key lets them be known. */
export class RecordedKeys {
  readonly #crypto: CryptoProvider;
  readonly #given: InspectionKeys;
  /** As the client sees them: transmit is client to server. */
  readonly #epochs: TrafficKeys[] = [];
  #sessionId: Uint8Array | undefined;

  constructor(crypto: CryptoProvider, given: InspectionKeys) {
    this.#crypto = crypto;
    this.#given = given;
  }

  get known(): boolean {
    return this.#epochs.length > 0;
  }

  /** Begins a session whose handshake was recorded; says whether a given ephemeral key belongs to it. */
  begin({ transcript, sessionId }: RecordedHandshake): Check[] {
    this.wipeEpochs();
    this.#sessionId = sessionId;
    const { clientToServer, serverToClient, client, server } = this.#given;
    if (clientToServer && serverToClient) {
      this.#epochs.push(this.#crypto.importTrafficKeys("client", clientToServer, serverToClient, sessionId));
      return [];
    }
    const checks: Check[] = [];
    for (const [side, secret] of [
      ["client", client],
      ["server", server],
    ] as const) {
      if (secret !== undefined) checks.push(this.#derive(side, secret, { transcript, sessionId }));
    }
    return checks;
  }

  /** For a recording that begins within a session: 8 bytes of the id stand in each nonce, and that is all opening needs. */
  beginWithin(halfSessionId: Uint8Array): void {
    const { clientToServer, serverToClient } = this.#given;
    if (this.known || clientToServer === undefined || serverToClient === undefined) return;
    const sessionId = new Uint8Array(2 * halfSessionId.length);
    sessionId.set(halfSessionId);
    this.#epochs.push(this.#crypto.importTrafficKeys("client", clientToServer, serverToClient, sessionId));
  }

  /** Opens a frame with the newest epoch that fits; in either direction when the recording does not tell it. */
  open(frame: Frame, from: Direction | undefined): Opened | undefined {
    if (plaintextLength(frame.bytes) < 0) return undefined;
    for (const { key, direction, epoch } of this.#candidates(from)) {
      const plaintext = openFrame(frame, key);
      if (plaintext !== undefined) return { plaintext, from: direction, epoch };
    }
    return undefined;
  }

  /** Follows a REKEY that was opened. False when the recording lacks the whole session id, which the new keys depend on. */
  rekey({ plaintext, from, epoch }: Opened): boolean {
    const keys = this.#epochs[epoch];
    if (this.#sessionId === undefined || keys === undefined) return false;
    if (epoch === this.#epochs.length - 1) {
      this.#epochs.push(keys.next(from === "client" ? "us" : "peer", plaintext, rekeyInfo(this.#sessionId)));
    }
    return true;
  }

  /** True when a key of this session made the UTACK's MAC. */
  acknowledges(utack: Utack): boolean {
    const { mac } = utack;
    if (mac === undefined) return false;
    return this.#candidates(undefined).some(({ key }) => constantTimeEqual(mac, key.acknowledgementMac(utack.message)));
  }

  wipe(): void {
    this.wipeEpochs();
    for (const secret of Object.values(this.#given) as Secret[]) secret.wipe();
  }

  wipeEpochs(): void {
    for (const keys of this.#epochs.splice(0)) keys.wipe();
  }

  #derive(side: Direction, privateKey: Secret, { transcript, sessionId }: RecordedHandshake): Check {
    const { clientPublicKey, serverPublicKey, nonce } = transcript;
    const ours = side === "client" ? clientPublicKey : serverPublicKey;
    const name = `${side}'s private key`;
    const publicName = side === "client" ? "pub_C" : "pub_S";
    const keyPair = this.#crypto.importKeyPair(privateKey);
    try {
      if (!constantTimeEqual(keyPair.publicKey, ours))
        return failed(name, `does not belong to ${publicName} of this handshake`);
      if (this.known) return passed(name, `belongs to ${publicName}`);
      const keys = this.#crypto.deriveTrafficKeys({
        // Named as the client sees them, whichever private half is known: the exchange gives both the same secret.
        side: "client",
        keyPair,
        peerPublicKey: side === "client" ? serverPublicKey : clientPublicKey,
        salt: nonce,
        info: sessionKeyInfo(clientPublicKey, serverPublicKey),
        sessionId,
      });
      if (keys === undefined)
        return failed(name, "gives an all-zero shared secret: the other public key is of low order");
      this.#epochs.push(keys);
      return passed(name, `belongs to ${publicName}; the session keys were derived`);
    } finally {
      keyPair.wipe();
    }
  }

  #candidates(from: Direction | undefined): { key: RecordKey; direction: Direction; epoch: number }[] {
    const candidates: { key: RecordKey; direction: Direction; epoch: number }[] = [];
    for (let epoch = this.#epochs.length - 1; epoch >= 0; epoch--) {
      const { transmit, receive } = this.#epochs[epoch] as TrafficKeys;
      if (from !== "server") candidates.push({ key: transmit, direction: "client", epoch });
      if (from !== "client") candidates.push({ key: receive, direction: "server", epoch });
    }
    return candidates;
  }
}
