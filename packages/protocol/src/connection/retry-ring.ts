import { addMs, earliest, type Instant } from "../time.ts";
import { encodeUtack } from "../wire/utack.ts";
import type { Datagram } from "./datagram-channel.ts";
import type { Address } from "./events.ts";

/** How many addresses it remembers; beyond that a HELLO is answered at once and forgotten (spec section 6). */
const CAPACITY = 1_024;
/**
 * So long the UTACK of a first HELLO waits for the UTACK of HELLO_RETRY: the field sends HELLO again after 0.5 and 1.5 s, and once it has seen
 * the UTACK never more; its devices give up after 2.5 s (F20).
 */
const UTACK_DELAY_MS = 1_600;
/** Late enough not to disturb clients that abort on a second HELLO_RETRY (threats page, F21), early enough to save the handshake. */
const DELAY_MS = 1_000;
/** The field sends its last HELLO four seconds after the one before: so long an address that is silent is remembered. */
const MAX_TICKS = 4;
/** Spec section 6: what is sent to what was received, while no cookie came back. */
const MAX_AMPLIFICATION = 1.6;
/** A HELLO without cookie, as far as its answer is concerned. */
export interface BareHello {
  readonly type: number;
  readonly seq: number;
  /** Of the whole datagram. */
  readonly length: number;
}

/** An address whose HELLO came without a cookie. */
interface Waiting {
  readonly to: Address;
  readonly utack: Uint8Array;
  readonly retry: Uint8Array;
  readonly hellos: number;
  /** It has shown that it has HELLO_RETRY. */
  informed: boolean;
  /** Bytes. */
  received: number;
  sent: number;
  ticks: number;
  dueAt: Instant;
}

/**
 * The only state that a HELLO without cookie may leave: that it came, for some seconds.
 *
 * The field's clients stop sending HELLO when they see its UTACK, and then wait for HELLO_RETRY until they give up, should it have been
 * lost (threats page, F9). So HELLO_RETRY goes first; the UTACK follows when its own UTACK shows that it arrived, when the HELLO comes
 * again, or after 1.6 s. HELLO_RETRY itself comes once more after a second. Where both were sent at once, 7 % of these clients were
 * stuck at 30 % loss each way.
 */
export class RetryRing {
  /** By address, in the order in which they are due: the delay is the same for all. */
  readonly #waiting: Map<string, Waiting> = new Map();
  /** Those whose first HELLO is not acknowledged, in the order in which that is due. */
  readonly #unacknowledged: Map<string, { readonly waiting: Waiting; readonly dueAt: Instant }> = new Map();

  /** Takes a bare HELLO; answers what it gets now. */
  answer(hello: BareHello, retry: Uint8Array, to: Address, now: Instant): Datagram[] {
    const utack = encodeUtack(hello.type, hello.seq);
    const known = this.#waiting.get(to.key);
    if (known === undefined && this.#waiting.size >= CAPACITY) {
      return [
        { data: utack, to },
        { data: retry, to },
      ];
    }
    // Another cookie is for another HELLO: a client that began anew.
    const again = known !== undefined && equalBytes(known.retry, retry);
    const renewed: Waiting = {
      ...{ to, utack, retry, ticks: 0, dueAt: addMs(now, DELAY_MS) },
      hellos: again ? known.hellos + 1 : 1,
      informed: again && known.informed,
      received: (known?.received ?? 0) + hello.length,
      sent: known?.sent ?? 0,
    };
    this.cancel(to.key);
    this.#waiting.set(to.key, renewed);
    if (renewed.hellos === 1) {
      this.#unacknowledged.set(to.key, { waiting: renewed, dueAt: addMs(now, UTACK_DELAY_MS) });
      return spend(renewed, [retry]);
    }
    return spend(renewed, [utack, retry]);
  }

  /** A UTACK of HELLO_RETRY, of so many bytes, came from there: now its HELLO may be acknowledged. */
  informed(address: Address, length: number): Datagram[] {
    const waiting = this.#waiting.get(address.key);
    if (waiting === undefined) return [];
    this.#unacknowledged.delete(address.key);
    waiting.informed = true;
    waiting.received += length;
    return spend(waiting, [waiting.utack]);
  }

  /** The cookie came back. */
  cancel(address: string): void {
    this.#waiting.delete(address);
    this.#unacknowledged.delete(address);
  }

  get timeout(): Instant | undefined {
    return earliest(this.#unacknowledged.values().next().value?.dueAt, this.#waiting.values().next().value?.dueAt);
  }

  /** Takes what is due. */
  takeDue(now: Instant): Datagram[] {
    const due: Datagram[] = [];
    for (const [address, { waiting, dueAt }] of this.#unacknowledged) {
      if (dueAt > now) break;
      this.#unacknowledged.delete(address);
      due.push(...spend(waiting, [waiting.utack]));
    }
    for (const [address, waiting] of this.#waiting) {
      if (waiting.dueAt > now) break;
      this.#waiting.delete(address);
      const silent = waiting.hellos === 1 && !waiting.informed && waiting.ticks === 0;
      if (!silent) this.#unacknowledged.delete(address);
      due.push(...spend(waiting, silent ? [waiting.retry] : [waiting.utack, waiting.retry]));
      if (++waiting.ticks === MAX_TICKS) continue;
      waiting.dueAt = addMs(now, DELAY_MS);
      this.#waiting.set(address, waiting);
    }
    return due;
  }
}

/** What of it the budget allows. */
function spend(waiting: Waiting, wanted: readonly Uint8Array[]): Datagram[] {
  const affordable: Datagram[] = [];
  for (const data of wanted) {
    if (waiting.sent + data.length > MAX_AMPLIFICATION * waiting.received) continue;
    waiting.sent += data.length;
    affordable.push({ data, to: waiting.to });
  }
  return affordable;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
