import type { CloseReason, ConnectionEvent, Secret } from "@usmp/protocol";
import type { Peer, Refusal } from "./api.ts";
import { formatDeviceId } from "./device-id.ts";
import type { ConnectionOwner } from "./driver.ts";
import type { UsableKey } from "./key-policy.ts";
import type { Candidates, KeyRing } from "./key-ring.ts";
import { LiveSession, type SessionHost, type SessionLink } from "./session.ts";
import { Unread } from "./unread.ts";

/** What a server does with what becomes of an attempt. */
export interface Reception extends SessionHost {
  readonly keys: KeyRing;
  readonly receiveBufferBytes: number;
  /** Sessions wait for accept(). */
  readonly awaitsAcceptance: boolean;
  admit(session: LiveSession): void;
  refuse(refusal: Refusal): void;
  /** Something was dropped before it reached a session. */
  noteDropped(cause: string): void;
}

/** What an acceptor does for one attempt. */
export interface AttemptHost {
  provideKeys(candidates: readonly Secret[]): void;
  /** The attempt is a session, which hears its events from now on. */
  handTo(session: ConnectionOwner): void;
  /** The attempt has failed. */
  onFailed(): void;
}

/** Owns a server's connection until it is a session or has failed. */
export class ServerAttempt implements ConnectionOwner {
  readonly #reception: Reception;
  readonly #link: SessionLink;
  readonly #peer: Peer;
  readonly #host: AttemptHost;
  #claimedDeviceId: string | undefined;
  #keys: readonly UsableKey[] = [];
  #over = false;
  #reported = false;

  constructor(reception: Reception, link: SessionLink, host: AttemptHost) {
    this.#reception = reception;
    this.#link = link;
    this.#peer = link.peer;
    this.#host = host;
  }

  /** HELLO named this device. */
  noteClaimed(deviceId: Uint8Array): void {
    this.#claimedDeviceId = formatDeviceId(deviceId);
  }

  onEvent(event: ConnectionEvent): void {
    switch (event.type) {
      case "keys-needed":
        this.noteClaimed(event.deviceId);
        this.#onKeysNeeded(formatDeviceId(event.deviceId));
        break;
      case "proof-refused":
        this.#refuse({ code: "authentication-failed", cause: event.cause });
        break;
      case "established":
        this.#onEstablished(event);
        break;
      case "closed":
        this.#finish();
        this.#host.onFailed();
        this.#refuse(event.reason);
        break;
    }
  }

  #onKeysNeeded(deviceId: string): void {
    const candidates = this.#reception.keys.find(deviceId, this.#peer);
    if (candidates instanceof Promise) void candidates.then((later) => this.#onCandidates(later));
    else this.#onCandidates(candidates);
  }

  #onCandidates({ keys, problem }: Candidates): void {
    this.#keys = keys;
    if (this.#over) return this.#finish();
    if (problem !== undefined) {
      this.#reception.refuse(this.#refusal({ code: "lookup-failed", message: problem }));
    }
    this.#host.provideKeys(keys.map(({ secret }) => secret));
  }

  #onEstablished(event: ConnectionEvent & { readonly type: "established" }): void {
    const label = this.#keys[event.keyIndex]?.label;
    this.#finish();
    const { receiveBufferBytes, awaitsAcceptance } = this.#reception;
    const unread = new Unread(receiveBufferBytes, awaitsAcceptance);
    const session = new LiveSession(this.#link, event, unread, this.#reception, label);
    this.#host.handTo(session);
    this.#reception.admit(session);
  }

  /** The core lets go of the candidate keys at its end of the handshake; ours are wiped there. */
  #finish(): void {
    this.#over = true;
    for (const { secret, owned } of this.#keys) if (owned) secret.wipe();
    this.#keys = [];
  }

  /** Reports an attempt once: over UDP a wrong proof is known before the attempt is over. */
  #refuse(reason: CloseReason): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#reception.refuse(this.#refusal(reason));
  }

  #refusal(reason: Refusal["reason"]): Refusal {
    const proof = this.#link.connection.takeProofTrial();
    const { breach } = this.#link.connection;
    return {
      peer: this.#peer,
      claimedDeviceId: this.#claimedDeviceId,
      reason,
      ...(proof === undefined ? {} : { proof }),
      ...(breach === undefined ? {} : { breach }),
    };
  }
}
