import { describe, expect, test } from "vitest";
import { GatewayProcess } from "./gateway-process.ts";
import { BIN } from "./process.ts";
import { TmuxTerminal, tmuxAvailable } from "./tmux.ts";

const rowsOf = (screen: readonly string[]): string[] => screen.filter((row) => row.startsWith("02:"));

async function fleet(count: number): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.start();
  for (let number = 1; number <= count; number++) {
    const device = await gateway.enrol([`02:00:00:00:00:0${number}`, "--name", `pump ${number} 水位`]);
    const session = await gateway.connect(device, number % 2 === 0 ? "tcp" : "udp");
    await session.send("hello");
  }
  return gateway;
}

describe.runIf(tmuxAvailable)("usmp monitor on a terminal", () => {
  test("draws one picture over the other, follows the terminal's size, and leaves it as it was", async () => {
    const gateway = await fleet(5);
    const words = [process.execPath, BIN, "monitor", "--data", gateway.data, "--interval", "1s"];
    const terminal = await TmuxTerminal.open(words, { columns: 110, rows: 12 });
    const screen = await terminal.until((rows) => rowsOf(rows).length === 5);
    expect(screen[0]).toMatch(/^\d\d:\d\d:\d\d {2}5 sessions \(2 tcp, 3 udp\) {2}\S+\/s messages$/);
    expect(screen[2]).toMatch(/^device +address +by +key +seen +rate +rtt +loss +name$/);
    expect(screen.find((row) => row.startsWith("02:00:00:00:00:03"))).toMatch(
      / 127\.0\.0\.1:\d+ +udp +1 .* 0 % {2}pump 3 水位$/,
    );
    // In place: the title is there once, however often it was drawn.
    const [title] = screen;
    const later = await terminal.until((rows) => rows[0] !== title && rowsOf(rows).length === 5);
    expect(later.filter((row) => row.includes("sessions"))).toHaveLength(1);

    terminal.resize(60, 6);
    const small = await terminal.until((rows) => rows.some((row) => row.includes("more that are less busy")));
    expect(rowsOf(small)).toHaveLength(2);
    expect(small.find((row) => row.startsWith("…"))).toBe("… and 3 more that are less busy");
    for (const row of small) expect([...row].length).toBeLessThanOrEqual(60);
    terminal.resize(110, 12);
    await terminal.until((rows) => rowsOf(rows).length === 5 && !rows.some((row) => row.includes("more that")));

    terminal.press("C-c");
    const left = await terminal.until((rows) => rows.some((row) => row.startsWith("exit code")));
    expect(left.filter((row) => row !== "")).toEqual(["exit code 0"]);
    await gateway.stop();
  });
});
