import { describe, expect, it } from "vitest";
import { Retransmission } from "../../src/recovery/retransmission.ts";
import { RttEstimator } from "../../src/recovery/rtt.ts";
import { type InFlight, SendWindow } from "../../src/recovery/send-window.ts";
import { after, START } from "../support/fixtures.ts";

const rtt = new RttEstimator();

function windowOf(count: number): { window: SendWindow<InFlight>; frames: InFlight[] } {
  const window = new SendWindow<InFlight>();
  const frames = Array.from({ length: count }, (_, seq) => {
    const retransmission = new Retransmission(after(seq), rtt);
    return { seq, retransmission, sentAs: seq, overtaken: 0 };
  });
  for (const frame of frames) window.add(frame);
  return { window, frames };
}

describe("frames on their way", () => {
  it("are found by number and leave when they have arrived", () => {
    const { window, frames } = windowOf(3);
    expect(window.find(1)).toBe(frames[1]);
    window.remove(frames[1] as InFlight);
    expect([window.find(1), window.size, window.oldest]).toEqual([undefined, 2, frames[0]]);
    window.clear();
    expect([window.size, window.oldest, window.timeout(5)]).toEqual([0, undefined, undefined]);
  });

  it("count as lost when three that were sent after them have arrived, and once", () => {
    const { window, frames } = windowOf(6);
    const lost = [1, 2, 3, 4].map((i) => window.remove(frames[i] as InFlight).map(({ seq }) => seq));
    expect(lost).toEqual([[], [], [0], []]);
  });

  it("are not overtaken by what was sent before their last copy", () => {
    const { window, frames } = windowOf(5);
    const [first, ...later] = frames as [InFlight, ...InFlight[]];
    first.sentAs = 10;
    expect(later.flatMap((frame) => window.remove(frame))).toEqual([]);
  });

  it("are sent again by the time of the oldest few alone", () => {
    const { window, frames } = windowOf(3);
    expect(window.timeout(1)).toBe(after(500));
    expect(window.timeout(3)).toBe(after(500));
    expect(window.due(after(502), 2)).toEqual(frames.slice(0, 2));
    expect(window.due(after(499), 3)).toEqual([]);
    expect(window.due(START, 0)).toEqual([]);
    expect(window.first(2)).toEqual(frames.slice(0, 2));
  });
});
