import { describe, expect, it } from "vitest";
import type { Connection } from "../../src/connection/connection.ts";
import type { Instant } from "../../src/time.ts";
import type { FrameTypeName } from "../../src/wire/frame.ts";
import { establishedDatagram, sent } from "../support/datagrams.ts";
import { after, START } from "../support/fixtures.ts";
import { typeOf } from "../support/raw-peer.ts";
import { closeReason, establishedStream, eventsFrom, framesFrom } from "../support/streams.ts";

/** One established machine, whatever carries its frames. */
interface Subject {
  readonly machine: Connection & { close(now: Instant): void; pauseReceiving(): void };
  /** Brings it an authentic frame; a datagram machine's frames are acknowledged as they come. */
  give(type: FrameTypeName, now: Instant): void;
  /** What it sent, UTACKs left out. */
  sent(now: Instant): FrameTypeName[];
}

const ends = (["client", "server"] as const).flatMap((role) => [
  { end: `stream ${role}`, subject: () => onStream(role) },
  { end: `datagram ${role}`, subject: () => onDatagrams(role) },
]);

describe.each(ends)("a $end", ({ subject }) => {
  it("that has sent nothing for 30 s sends PING, to the millisecond", () => {
    const { machine, sent: taken } = subject();
    // A datagram server repeats the UTACK of HELLO_ACK for two seconds.
    for (let ms = 0; ms <= 2_000; ms += 500) machine.handleTimeout(after(ms));
    taken(after(2_000));
    expect(machine.pollTimeout()).toBe(after(30_000));
    machine.handleTimeout(after(29_999));
    expect(taken(after(29_999))).toEqual([]);
    machine.handleTimeout(after(30_000));
    expect(taken(after(30_000))).toEqual(["PING"]);
  });

  it("that has received nothing authentic for 60 s ends, to the millisecond", () => {
    const { machine } = subject();
    machine.handleTimeout(after(30_000));
    machine.handleTimeout(after(59_999));
    expect(machine.state).toBe("established");
    machine.handleTimeout(after(60_000));
    expect(closeReason(machine)).toEqual({ code: "peer-silent", silentMs: 60_000 });
    expect(machine.pollTimeout()).toBeUndefined();
  });

  it("stays while authentic frames come, and counts from the last", () => {
    const { machine, give } = subject();
    give("PONG", after(50_000));
    machine.handleTimeout(after(109_999));
    expect(machine.state).toBe("established");
    machine.handleTimeout(after(110_000));
    expect(machine.state).toBe("closed");
  });

  it("takes many calls of ping() for one PING, and reports one round trip", () => {
    const { machine, give, sent: taken } = subject();
    for (let i = 0; i < 5; i++) machine.ping(START);
    expect(taken(START)).toEqual(["PING"]);
    give("PONG", after(25));
    expect(eventsFrom(machine).filter(({ type }) => type === "pong")).toEqual([{ type: "pong", roundTripMs: 25 }]);
    // The calls that came while the first was under way asked for one more between them.
    expect(taken(after(25))).toEqual(["PING"]);
  });

  it("paces its PINGs: six in 1.1 s, so that with the PONGs it owes no peer counts more than eight", () => {
    const { machine, give, sent: taken } = subject();
    let pings = 0;
    for (let ms = 0; ms < 1_100; ms += 10) {
      machine.ping(after(ms));
      const left = taken(after(ms)).filter((type) => type === "PING").length;
      pings += left;
      if (left > 0 && pings <= 8) give("PONG", after(ms));
    }
    expect(pings).toBe(6);
    expect(machine.pollTimeout()).toBe(after(1_100));
    machine.handleTimeout(after(1_100));
    expect(taken(after(1_100))).toEqual(["PING"]);
  });

  it("is not disturbed by timeouts that come early, late, or twice", () => {
    const { machine, sent: taken } = subject();
    for (const ms of [0, 0, 1, 29_999]) machine.handleTimeout(after(ms));
    expect(taken(after(29_999))).toEqual([]);
    machine.handleTimeout(after(45_000));
    machine.handleTimeout(after(45_000));
    expect(taken(after(45_000))).toEqual(["PING"]);
  });

  it("can be aborted with a reason, once, and says nothing to its peer", () => {
    const { machine, sent: taken } = subject();
    machine.abort({ code: "replaced" });
    machine.abort();
    expect(eventsFrom(machine)).toMatchObject([{ type: "closed", reason: { code: "replaced" } }]);
    expect(taken(START)).toEqual([]);
  });

  it("is aborted without a reason as aborted", () => {
    const { machine } = subject();
    machine.abort();
    expect(closeReason(machine)).toEqual({ code: "aborted" });
  });
});

describe("a stream whose application is behind", () => {
  it("does not take its own pause for the peer's silence, and counts again from when it goes on", () => {
    const { machine } = establishedStream("server");
    machine.pauseReceiving();
    machine.handleTimeout(after(200_000));
    expect(machine.state).toBe("established");
    expect(machine.pollTimeout()).toBe(after(230_000));
    machine.resumeReceiving(after(200_000));
    machine.handleTimeout(after(259_999));
    expect(machine.state).toBe("established");
    machine.handleTimeout(after(260_000));
    expect(machine.state).toBe("closed");
  });
});

describe("a stream that only sends", () => {
  it("asks its peer for a sign of life every 30 s, so that one which only listens does not look dead", () => {
    const { machine, raw } = establishedStream("server");
    const pings: number[] = [];
    let answers = 0;
    for (let ms = 0; ms <= 120_000; ms += 6_000) {
      machine.send(Uint8Array.of(1), after(ms));
      machine.handleTimeout(after(ms));
      if (!framesFrom(machine).map(typeOf).includes("PING")) continue;
      pings.push(ms);
      machine.handleBytes(raw.seal("PONG", answers++), after(ms));
    }
    expect(pings).toEqual([30_000, 60_000, 90_000, 120_000]);
    expect(machine.counters).toMatchObject({ pingsSent: 4, pongsReceived: 4 });
    expect(machine.state).toBe("established");
  });
});

describe("datagrams to an application that is behind", () => {
  it("still show that the peer lives: its silence ends the session all the same", () => {
    const { machine } = establishedDatagram("client");
    machine.pauseReceiving();
    machine.handleTimeout(after(60_000));
    expect(machine.state).toBe("closed");
  });
});

function onStream(role: "client" | "server"): Subject {
  const { machine, raw } = establishedStream(role);
  let seq = 0;
  return {
    machine,
    give: (type, now) => machine.handleBytes(raw.seal(type, seq++), now),
    sent: () => framesFrom(machine).map(typeOf),
  };
}

function onDatagrams(role: "client" | "server"): Subject {
  const { machine, raw, give } = establishedDatagram(role);
  let seq = 0;
  const taken: FrameTypeName[] = [];
  const acknowledge = (now: Instant): void => {
    for (let frames = sent(machine).frames; frames.length > 0; frames = sent(machine).frames) {
      for (const frame of frames) {
        taken.push(typeOf(frame));
        give(raw.utack(frame), now);
      }
    }
  };
  return {
    machine,
    give: (type, now) => give(raw.seal(type, seq++), now),
    sent(now) {
      acknowledge(now);
      return taken.splice(0);
    },
  };
}
