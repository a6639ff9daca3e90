import { create } from "qrcode";
import type { EnrolledDevice } from "../control/methods.ts";
import { hexDigits } from "./key-forms.ts";

/** What the QR code of an enrolment holds; docs/keys.md describes it. It has the key: to be shown once, never stored. */
export function enrolmentUri({ id, psk, generation }: Pick<EnrolledDevice, "id" | "psk" | "generation">): string {
  return `usmp:enrol?id=${id}&generation=${generation}&key=${hexDigits(psk)}`;
}

/**
 * A QR code in half blocks, two modules a character, with the four light modules around it that readers need (ISO/IEC 18004).
 * Both colours are set, so that it reads on dark and on light terminals.
 */
export function qrForTerminal(text: string): string {
  const { modules } = create(text, { errorCorrectionLevel: "M" });
  const dark = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < modules.size && column < modules.size && modules.get(row, column) !== 0;
  const lines: string[] = [];
  for (let row = -QUIET_ZONE; row < modules.size + QUIET_ZONE; row += 2) {
    let line = "";
    for (let column = -QUIET_ZONE; column < modules.size + QUIET_ZONE; column++) {
      line += HALF_BLOCKS[(dark(row, column) ? 2 : 0) + (dark(row + 1, column) ? 1 : 0)];
    }
    lines.push(`${BLACK_ON_WHITE}${line}${RESET}`);
  }
  return lines.join("\n");
}

const QUIET_ZONE = 4;
/** Upper and lower module: light and light, light and dark, dark and light, dark and dark. */
const HALF_BLOCKS = [" ", "▄", "▀", "█"] as const;
/** SGR 30 and 107: black on bright white. */
const BLACK_ON_WHITE = "\u001b[30;107m";
const RESET = "\u001b[0m";
