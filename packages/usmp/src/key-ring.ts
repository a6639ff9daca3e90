import { type Secret, UsageError } from "@usmp/protocol";
import type { LabelledPsk, Peer, Psk, PskAnswer, PskLookup } from "./api.ts";
import { candidateKey, type UsableKey, usableKey } from "./key-policy.ts";

/** What a look-up gave: keys to try, and what was wrong with the answer, if anything was. */
export interface Candidates {
  readonly keys: readonly UsableKey[];
  readonly problem: string | undefined;
}

const NONE: Candidates = { keys: [], problem: undefined };

/** Where a server's keys come from: one key for any device, or the application's function. */
export class KeyRing {
  readonly #fixed: UsableKey | undefined;
  readonly #lookup: PskLookup | undefined;
  readonly #development: boolean;

  /** Throws UsageError for a key that may not be used. */
  constructor(psk: Psk | PskLookup, development: boolean) {
    this.#development = development;
    if (typeof psk === "function") this.#lookup = psk;
    else this.#fixed = usableKey(psk, development);
  }

  /** The one key for all devices; undefined when a function is asked. Still the ring's. */
  get fixed(): Secret | undefined {
    return this.#fixed?.secret;
  }

  /** The keys of a device: at once where that is possible. Never throws: a failed look-up is no keys, and a problem. */
  find(deviceId: string, peer: Peer): Candidates | Promise<Candidates> {
    if (this.#fixed !== undefined) return { keys: [{ ...this.#fixed, owned: false }], problem: undefined };
    try {
      const answer = (this.#lookup as PskLookup)(deviceId, peer);
      if (!isThenable(answer)) return this.#read(answer);
      return Promise.resolve(answer)
        .then((later) => this.#read(later))
        .catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  wipe(): void {
    if (this.#fixed?.owned) this.#fixed.secret.wipe();
  }

  #read(answer: PskAnswer): Candidates {
    if (answer === undefined) return NONE;
    const keys: UsableKey[] = [];
    let problem: string | undefined;
    for (const psk of Array.isArray(answer) ? (answer as readonly (Psk | LabelledPsk)[]) : [answer as Psk]) {
      try {
        keys.push(candidateKey(psk, this.#development));
      } catch (error) {
        // Anything but a key that may not be used is a fault of ours and must show.
        if (!(error instanceof UsageError)) throw error;
        problem = error.message;
      }
    }
    return { keys, problem };
  }
}

/** Other libraries' promises and query builders are no Promise, but awaited like one. */
function isThenable<T>(answer: T | PromiseLike<T>): answer is PromiseLike<T> {
  return typeof answer === "object" && answer !== null && "then" in answer;
}

function failed(error: unknown): Candidates {
  return { keys: [], problem: error instanceof Error ? error.message : String(error) };
}
