import assert from "node:assert/strict";
import type { Connection } from "../../src/connection/connection.ts";
import type { CloseReason, ConnectionEvent } from "../../src/connection/events.ts";
import type { Side } from "../../src/crypto/provider.ts";
import type { EpochObserver } from "./epoch-observer.ts";
import type { MessageOracle } from "./message-oracle.ts";

/** What came early and was acknowledged before a stall follows when the gap before it closes: less than a replay window. */
const MAX_WHILE_STALLED = 63;

/** The application at one end: it hears the connection's events and holds them to the oracles. */
export class SimulatedEnd<C extends Connection = Connection> {
  readonly side: Side;
  readonly epochs: EpochObserver;
  readonly #outgoing: MessageOracle;
  readonly #incoming: MessageOracle;
  /** Whether a close tells the fate of single messages: on datagrams. */
  readonly #accounts: boolean;
  /** On a server's datagram socket it exists only once a cookie came back. */
  connection: C | undefined;
  #stalled = false;
  #whileStalled = 0;
  /** The process runs not at all. */
  suspended = false;
  established = false;
  proven = false;
  closed: CloseReason | undefined;
  /** Hears how many messages have come. */
  onDelivered: (count: number) => void = () => {};
  pongs = 0;
  rekeys = 0;

  constructor(
    side: Side,
    epochs: EpochObserver,
    outgoing: MessageOracle,
    incoming: MessageOracle,
    { accounts }: { readonly accounts: boolean },
  ) {
    this.side = side;
    this.epochs = epochs;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    this.#accounts = accounts;
  }

  /** The application reads nothing. */
  get stalled(): boolean {
    return this.#stalled;
  }

  set stalled(stalled: boolean) {
    this.#stalled = stalled;
    this.#whileStalled = 0;
  }

  /** True when the application may send, ping and rekey. */
  get usable(): boolean {
    return this.connection?.state === "established";
  }

  get incoming(): MessageOracle {
    return this.#incoming;
  }

  get outgoing(): MessageOracle {
    return this.#outgoing;
  }

  onEvent(event: ConnectionEvent): void {
    if (this.closed !== undefined) assert.fail(`${this.side}: a ${event.type} event after closed`);
    switch (event.type) {
      case "established":
        assert(!this.established, `${this.side}: established twice`);
        this.established = true;
        break;
      case "message":
        if (!this.established || (this.#stalled && ++this.#whileStalled > MAX_WHILE_STALLED)) {
          assert.fail(`${this.side}: a message the application had no room for`);
        }
        this.#incoming.noteDelivered(event.data);
        this.onDelivered(this.#incoming.delivered);
        break;
      case "acknowledged":
        this.#outgoing.noteAcknowledged(event.id);
        break;
      case "pong":
        assert(event.roundTripMs >= 0, `${this.side}: a round trip of ${event.roundTripMs} ms`);
        this.pongs++;
        break;
      case "rekeyed":
        assert.equal(event.epoch, ++this.rekeys, `${this.side}: epochs count one by one`);
        break;
      case "closed":
        this.closed = event.reason;
        if (this.#accounts) this.#outgoing.noteClosed(event.undelivered);
        break;
      case "proven":
        this.proven = true;
        break;
      case "keys-needed":
      case "proof-refused":
      case "moved":
      case "path-proven":
        break;
      default:
        event satisfies never;
    }
  }
}
