import { FrameType } from "@usmp/protocol";
import type { Direction } from "./explanation.ts";

/** Puts fragments of both directions together for showing. A run that a receiver would refuse still shows what is there. */
export class MessageAssembly {
  readonly #fragments: Record<Direction, Uint8Array[]> = { client: [], server: [] };

  /** The whole message, when this frame ends one that had fragments before it. */
  add(from: Direction, type: number, plaintext: Uint8Array): Uint8Array | undefined {
    const fragments = this.#fragments[from];
    if (type === FrameType.DATA_FRAG) fragments.push(plaintext);
    if (type !== FrameType.DATA || fragments.length === 0) return undefined;
    const message = Buffer.concat([...fragments, plaintext]);
    fragments.length = 0;
    return message;
  }

  clear(): void {
    this.#fragments.client.length = 0;
    this.#fragments.server.length = 0;
  }
}
