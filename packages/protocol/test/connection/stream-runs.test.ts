import { nodeCrypto } from "@usmp/crypto";
import { type SeededRandom, seeds, withSeed } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import type { FrameTypeName } from "../../src/wire/frame.ts";
import { filled, START } from "../support/fixtures.ts";
import { runKeys } from "../support/run-keys.ts";
import { cutFrames, establishedStream, eventsFrom, StreamPair } from "../support/streams.ts";

describe("a stream whose keys take several frames at a time", () => {
  it("gives out a chunk's messages, short and long, without a frame being opened alone", () => {
    const keys = runKeys(nodeCrypto);
    const { machine, raw } = establishedStream("server", { server: { crypto: keys.provider } });
    const frames = [raw.seal("DATA", 0, filled(5, 1))];
    for (let i = 0; i < 3; i++) frames.push(raw.seal("DATA_FRAG", 1 + i, filled(452, 2)));
    frames.push(raw.seal("DATA", 4, filled(452, 2)), raw.seal("DATA", 5));
    machine.handleBytes(concatBytes(...frames), START);
    expect(eventsFrom(machine)).toEqual([
      { type: "proven" },
      { type: "message", data: filled(5, 1) },
      { type: "message", data: filled(1_808, 2) },
      { type: "message", data: filled(0, 0) },
    ]);
    expect(keys.opened()).toBe(6);
  });

  it("never writes over a message that it gave out, however many follow", () => {
    const keys = runKeys(nodeCrypto);
    const { machine, raw } = establishedStream("server", { server: { crypto: keys.provider } });
    const frames = Array.from({ length: 200 }, (_, seq) => raw.seal("DATA", seq, filled(452, seq)));
    machine.handleBytes(concatBytes(...frames.slice(0, 120)), START);
    for (const frame of frames.slice(120)) machine.handleBytes(frame, START);
    const messages = eventsFrom(machine).flatMap((event) => (event.type === "message" ? [event.data] : []));
    expect(messages).toEqual(frames.map((_, seq) => filled(452, seq)));
  });

  it("keeps of an unfinished message copies, and nothing of the memory that it was opened into", () => {
    const keys = runKeys(nodeCrypto);
    const { machine, raw } = establishedStream("server", { server: { crypto: keys.provider } });
    machine.handleBytes(raw.seal("DATA_FRAG", 0, filled(452, 1)), START);
    machine.handleBytes(raw.seal("DATA_FRAG", 1, filled(452, 2)), START);
    machine.handleBytes(raw.seal("DATA", 2, filled(8, 3)), START);
    const message = eventsFrom(machine).at(-1);
    const data = concatBytes(filled(452, 1), filled(452, 2), filled(8, 3));
    expect(message).toEqual({ type: "message", data });
    expect(message?.type === "message" && message.data.buffer.byteLength).toBe(data.length);
  });

  it("seals a long message's frames in one call, and each is as it would be alone", () => {
    const keys = runKeys(nodeCrypto);
    const { client, server } = new StreamPair({ client: { crypto: keys.provider } });
    eventsFrom(server);
    client.send(filled(1_808, 7), START);
    const bytes = client.pollTransmit() as Uint8Array;
    expect(cutFrames(bytes).map(({ length }) => length)).toEqual([492, 492, 492, 492]);
    expect(keys.sealed()).toBe(4);
    server.handleBytes(bytes, START);
    expect(eventsFrom(server)).toContainEqual({ type: "message", data: filled(1_808, 7) });
    expect(client.counters).toMatchObject({ framesSent: 6, messagesSent: 1 });
  });

  it("lets no plaintext leave, and repeats no number, when a run cannot be sealed", () => {
    const keys = runKeys(nodeCrypto);
    const { machine, raw } = establishedStream("client", { client: { crypto: keys.provider } });
    keys.failNext();
    expect(() => machine.send(filled(904, 0x5a), START)).toThrow("as the test told it to");
    expect(machine.pollTransmit()?.every((byte) => byte === 0)).toBe(true);
    machine.send(filled(1, 1), START);
    expect(raw.open(machine.pollTransmit() as Uint8Array)).toMatchObject({ seq: 2, plaintext: filled(1, 1) });
  });

  it("does what it does frame by frame, whatever comes and however it is cut", () => {
    for (const seed of seeds(100)) withSeed(seed, (random) => compare(random));
  });
});

/** The same frames in the same chunks, by runs and one by one. */
function compare(random: SeededRandom): void {
  const plan = Array.from({ length: 1 + random.int(40) }, () => ({
    type: oneOf<FrameTypeName>(random, ["DATA", "DATA", "DATA", "DATA_FRAG", "DATA_FRAG", "PING"]),
    size: oneOf(random, [0, 1, 60, 64, 65, 451, 452]),
    damaged: random.chance(0.03),
    skipped: random.chance(0.02),
  }));
  const damage = random.int(500);
  const cuts = new Set(Array.from({ length: random.int(10) }, () => random.int(8_000)));
  const [alone, inRuns] = [nodeCrypto, runKeys(nodeCrypto).provider].map((crypto: CryptoProvider) => {
    const { machine, raw } = establishedStream("server", { server: { crypto } });
    let seq = 0;
    const frames = plan.map(({ type, size, damaged, skipped }) => {
      if (skipped) seq++;
      const frame = raw.seal(type, seq++, filled(type === "PING" ? 0 : size, seq));
      if (damaged) frame[damage % frame.length] = (frame[damage % frame.length] as number) ^ 1;
      return frame;
    });
    const bytes = concatBytes(...frames);
    const ends = [...cuts, bytes.length].filter((end) => end <= bytes.length).sort((a, b) => a - b);
    let start = 0;
    for (const end of ends) {
      machine.handleBytes(bytes.slice(start, end), START);
      start = end;
    }
    const { framesReceived, bytesReceived, messagesReceived, framesSent } = machine.counters;
    const breach = machine.breach && { offset: machine.breach.offset, head: [...machine.breach.head] };
    const counters = { framesReceived, bytesReceived, messagesReceived, framesSent };
    return { events: eventsFrom(machine), breach, counters, timeout: machine.pollTimeout() };
  });
  expect(inRuns).toEqual(alone);
}

function oneOf<T>(random: SeededRandom, values: readonly T[]): T {
  return values[random.int(values.length)] as T;
}
