import type { Readable } from "node:stream";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** Far more than a message can have: enough for the error that names its length, without holding a stream that has no line ends. */
const LONGEST_LINE = 65_536;

/** Cuts a byte stream into lines as they are asked for. Lines are bytes, whatever their encoding, and end with LF or CR LF. */
export class LineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #ended = false;

  constructor(stream: Readable) {
    this.#chunks = chunksOf(stream);
  }

  /** The next line without its end, cut after 65,536 bytes; undefined at the end. A last line needs no line end. */
  async next(): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const end = this.#chunk.indexOf(LINE_FEED);
      const part = end === -1 ? this.#chunk : this.#chunk.subarray(0, end);
      if (length < LONGEST_LINE) parts.push(part.subarray(0, LONGEST_LINE - length));
      length += part.length;
      if (end !== -1) {
        this.#chunk = this.#chunk.subarray(end + 1);
        return withoutReturn(Buffer.concat(parts));
      }
      if (!(await this.#fill())) return length === 0 ? undefined : Buffer.concat(parts);
    }
  }

  async #fill(): Promise<boolean> {
    this.#chunk = this.#chunk.subarray(this.#chunk.length);
    if (this.#ended) return false;
    const { done, value } = await this.#chunks.next();
    if (done) this.#ended = true;
    else this.#chunk = value;
    return !this.#ended;
  }
}

/** Begins to read on the first next(): a stream that nobody asks for lines keeps no process alive. */
async function* chunksOf(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) yield typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Uint8Array);
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
