import type { OutputStream } from "../environment.ts";
import type { TableRoom } from "./table.ts";

/** What a terminal that does not know its size is taken for. */
const COLUMNS = 80;
const ROWS = 24;

/** ECMA-48 and xterm's control sequences. */
const OPEN = "\u001b[?1049h\u001b[?25l\u001b[?7l"; // the other screen, no cursor, no wrapping
const CLOSE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** A full-screen picture that is drawn over itself, on the terminal's other screen: what stood there before is back at the end. */
export class Screen {
  readonly #output: OutputStream;
  readonly #draw: (room: TableRoom) => readonly string[];
  readonly #redraw = (): void => this.refresh();

  constructor(output: OutputStream, draw: (room: TableRoom) => readonly string[]) {
    this.#output = output;
    this.#draw = draw;
    output.write(OPEN);
    output.on("resize", this.#redraw);
  }

  /** Left out while the terminal has not taken the picture before. */
  refresh(): void {
    if (this.#output.writableNeedDrain) return;
    const lines = this.#draw({ columns: this.#output.columns || COLUMNS, rows: this.#output.rows || ROWS });
    const picture = lines.map((line) => `${line}${CLEAR_LINE}`).join("\r\n");
    this.#output.write(`${HOME}${picture}${CLEAR_BELOW}`);
  }

  close(): void {
    this.#output.off("resize", this.#redraw);
    this.#output.write(CLOSE);
  }
}
