import {
  type DatagramLink,
  type Direction,
  flipBits,
  type LinkEvent,
  opposite,
  type SeededRandom,
} from "@usmp/testkit";
import { HEADER_LENGTH } from "../../src/constants.ts";
import { addMs, type Instant } from "../../src/time.ts";
import { encodeFrame, FrameType, writeCrc } from "../../src/wire/frame.ts";
import { encodeUtack, looksLikeUtack } from "../../src/wire/utack.ts";

/** It remembers so many of the last datagrams. */
const MEMORY = 200;
const OWN_ADDRESS = "attacker";

/** Someone on the path without keys: hears all, and adds what it likes under any address. */
export class DatagramAttacker {
  readonly #random: SeededRandom;
  readonly #link: DatagramLink;
  readonly #heard: LinkEvent[] = [];
  #shadowDelayMs: number | undefined;

  constructor(random: SeededRandom, link: DatagramLink) {
    this.#random = random;
    this.#link = link;
  }

  hear(event: LinkEvent): void {
    if (event.type !== "sent") return;
    this.#heard.push(event);
    if (this.#heard.length > MEMORY) this.#heard.shift();
    if (this.#shadowDelayMs === undefined || event.direction === "server-to-client") return;
    this.#link.inject(event.direction, event.bytes, addMs(event.at, this.#shadowDelayMs), OWN_ADDRESS);
  }

  /** From now on each datagram of the client's comes a second time, from elsewhere, `delayMs` after it was sent; undefined ends it. */
  shadow(delayMs: number | undefined): void {
    this.#shadowDelayMs = delayMs;
  }

  strike(now: Instant): void {
    const { direction, bytes } = this.#random
      .pick([this.#replayed, this.#reflected, this.#damaged, this.#invented])
      .call(this);
    const from =
      direction === "server-to-client"
        ? "server"
        : this.#random.pick([this.#link.clientAddress, "client", OWN_ADDRESS]);
    this.#link.inject(direction, bytes, now, from);
  }

  #replayed(): Pick<LinkEvent, "direction" | "bytes"> {
    return this.#heard.length === 0 ? this.#invented() : this.#random.pick(this.#heard);
  }

  #reflected(): Pick<LinkEvent, "direction" | "bytes"> {
    const { direction, bytes } = this.#replayed();
    return { direction: opposite(direction), bytes };
  }

  /** With its CRC made good where it has one. */
  #damaged(): Pick<LinkEvent, "direction" | "bytes"> {
    const { direction, bytes } = this.#replayed();
    const damaged = flipBits(bytes, this.#random);
    if (!looksLikeUtack(damaged) && damaged.length >= HEADER_LENGTH) writeCrc(damaged);
    return { direction, bytes: damaged };
  }

  #invented(): Pick<LinkEvent, "direction" | "bytes"> {
    const random = this.#random;
    const direction: Direction = random.pick(["client-to-server", "server-to-client"]);
    const type = random.pick(Object.values(FrameType));
    const bytes = random.pick([
      () => encodeUtack(type, random.int(40)),
      () => Uint8Array.of(...encodeUtack(type, random.int(40)), ...random.bytes(8)),
      () => encodeFrame(type, random.int(40), random.bytes(random.pick([0, 16, 32, 38, 48, 54, 64, 28, 60]))),
      () => random.bytes(random.int(64)),
    ])();
    return { direction, bytes };
  }
}
