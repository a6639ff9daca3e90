import { describe, expect, it } from "vitest";
import { parseRekeying, type Rekeying } from "../../src/connection/config.ts";
import { KeyLife } from "../../src/connection/key-life.ts";
import { DatagramPair } from "../support/datagram-pair.ts";
import { establishedDatagram, sent } from "../support/datagrams.ts";
import { after, DEVICE_ID, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { typeOf } from "../support/raw-peer.ts";
import { establishedStream, eventsFrom, framesFrom } from "../support/streams.ts";

const limits = { afterFrames: 4, afterBytes: 1_000, afterMs: 60_000 };

describe("the life of a key", () => {
  it("ends by frames, by bytes or by age, whichever comes first", () => {
    const life = new KeyLife(limits, START);
    expect([life.reached(after(59_999)), life.reached(after(60_000))]).toEqual([undefined, "age"]);
    expect(life.timeout).toBe(after(60_000));
    for (let i = 0; i < 3; i++) life.note(10);
    expect(life.reached(START)).toBeUndefined();
    life.note(10);
    expect(life.reached(START)).toBe("frames");
    expect(life.timeout).toBe(START);
    life.renew(after(5));
    expect([life.reached(after(6)), life.timeout]).toEqual([undefined, after(60_005)]);
    life.note(1_000);
    expect(life.reached(after(6))).toBe("bytes");
  });

  it.each([
    ["afterFrames", 0],
    ["afterFrames", 2 ** 28 + 1],
    ["afterFrames", 1.5],
    ["afterBytes", 2 ** 36 + 1],
    ["afterMs", Number.NaN],
    ["afterMs", 32 * 24 * 3_600_000],
    ["policy", "sometimes"],
  ])("is refused with %s %s, and the error says what is allowed", (field, value) => {
    expect(() => parseRekeying({ [field]: value })).toThrow(
      expect.objectContaining({ code: "invalid-option", message: expect.stringMatching(`^rekey.${field} is .*; it`) }),
    );
  });

  it("has defaults far below the limits of AES-GCM", () => {
    expect(parseRekeying()).toEqual({ afterFrames: 2 ** 28, afterBytes: 2 ** 36, afterMs: 86_400_000, policy: "own" });
  });
});

const rekeying = (given: Partial<Rekeying>): Rekeying => parseRekeying({ ...limits, ...given });
const forBoth = (given: Partial<Rekeying>) => ({
  client: { rekeying: rekeying(given) },
  server: { rekeying: rekeying(given) },
});

describe.each(ROLES)("a stream %s whose keys have reached a limit", (role) => {
  it.each(["own", "never"] as const)("says BYE under the policy %s: its peer may be of the field", (policy) => {
    const { machine } = establishedStream(role, forBoth({ policy }));
    expect(machine.pollTimeout()).toBe(after(30_000));
    for (let i = 0; i < 4; i++) machine.send(ascii("x"), START);
    expect(machine.pollTimeout()).toBe(START);
    machine.handleTimeout(START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["DATA", "DATA", "DATA", "DATA", "BYE"]);
    expect(eventsFrom(machine).at(-1)).toMatchObject({ reason: { code: "key-expired", limit: "frames" } });
  });

  it("rekeys at once under the policy always", () => {
    const { machine, raw } = establishedStream(role, forBoth({ policy: "always" }));
    for (let i = 0; i < 4; i++) machine.send(ascii("x"), START);
    machine.handleTimeout(after(1_000));
    expect(framesFrom(machine).map(typeOf).at(-1)).toBe("REKEY");
    expect(machine.epoch).toBe(1);
    expect(raw.newest).toBe(0);
  });

  it("waits with the next REKEY until the peer has shown that it follows the last", () => {
    const { machine } = establishedStream(role, forBoth({ policy: "always" }));
    for (let i = 0; i < 4; i++) machine.send(ascii("x"), START);
    machine.handleTimeout(after(1_000));
    for (let i = 0; i < 8; i++) machine.send(ascii("x"), after(1_500));
    machine.handleTimeout(after(3_000));
    expect(framesFrom(machine).filter((frame) => typeOf(frame) === "REKEY")).toHaveLength(1);
    expect(machine.epoch).toBe(1);
  });

  it("waits for a second without traffic under the policy quiet, then rekeys", () => {
    const { machine, raw } = establishedStream(role, forBoth({ policy: "quiet" }));
    for (let i = 0; i < 4; i++) machine.send(ascii("x"), START);
    machine.handleTimeout(START);
    machine.handleBytes(raw.seal("PONG", 0), after(500));
    machine.handleTimeout(after(1_000));
    expect(framesFrom(machine).map(typeOf)).not.toContain("REKEY");
    expect(machine.pollTimeout()).toBe(after(1_500));
    machine.handleTimeout(after(1_500));
    expect(framesFrom(machine).map(typeOf)).toEqual(["REKEY"]);
  });

  it("says BYE under the policy quiet when no quiet moment comes in ten minutes", () => {
    const { machine, raw } = establishedStream(
      role,
      forBoth({ policy: "quiet", afterFrames: 10_000, afterBytes: 10_000_000 }),
    );
    let seq = 0;
    for (let ms = 500; ms <= 661_000 && machine.state === "established"; ms += 500) {
      machine.handleBytes(raw.seal("DATA", seq++, ascii("x")), after(ms));
      machine.handleTimeout(after(ms));
    }
    const closed = eventsFrom(machine).at(-1);
    expect(closed).toMatchObject({ type: "closed", reason: { code: "key-expired", limit: "age" } });
    expect(seq).toBe(1_320);
  });

  it("may decide by device", () => {
    const asked: Uint8Array[] = [];
    const choose = (deviceId: Uint8Array): Rekeying => {
      asked.push(deviceId);
      return rekeying({ policy: "never" });
    };
    const { machine } = establishedStream(role, { client: { rekeying: choose }, server: { rekeying: choose } });
    machine.handleTimeout(after(59_999));
    expect(machine.state).toBe("established");
    machine.handleTimeout(after(60_000));
    expect(machine.state).toBe("closed");
    expect(asked).toEqual([DEVICE_ID]);
  });
});

describe.each(ROLES)("a datagram %s whose keys have reached a limit", (role) => {
  it.each(["own", "quiet"] as const)(
    "says BYE under the policy %s to a peer that does not show within 15 s that it is of this implementation",
    (policy) => {
      const { machine, raw, give } = establishedDatagram(role, forBoth({ policy, afterFrames: 20 }));
      const types: string[] = [];
      let seq = 0;
      for (let ms = 0; ms <= 80_000; ms += 100) {
        if (ms % 20_000 === 0) give(raw.seal("PONG", seq++), after(ms));
        machine.handleTimeout(after(ms));
        for (const frame of sent(machine).frames) {
          types.push(`${typeOf(frame)} at ${ms}`);
          give(raw.utack(frame), after(ms));
        }
      }
      expect(types.filter((type) => !type.startsWith("PING"))).toEqual(["BYE at 75000"]);
      expect(eventsFrom(machine).at(-1)).toMatchObject({ reason: { code: "key-expired", limit: "age" } });
    },
  );

  it("says BYE at once under the policy never, after what is queued", () => {
    const pair = new DatagramPair({ [role]: { rekeying: rekeying({ policy: "never" }) } }).establish();
    const machine = role === "client" ? pair.client : pair.server;
    for (let i = 0; i < 10; i++) machine.send(ascii(`${i}`), pair.now);
    pair.advance(2_000);
    const events = pair.takeEvents();
    expect(events[role].at(-1)).toMatchObject({ reason: { code: "key-expired", limit: "frames" } });
    const other = events[role === "client" ? "server" : "client"];
    expect(other.filter(({ type }) => type === "message")).toHaveLength(10);
    expect(other.at(-1)).toMatchObject({ reason: { code: "closed-by-peer" } });
  });

  it("rekeys with a peer of ours, which answers when asked, and goes on", () => {
    const overrides = { [role]: { rekeying: rekeying({}) } };
    const pair = new DatagramPair(overrides).establish();
    const machine = role === "client" ? pair.client : pair.server;
    for (let day = 0; day < 3; day++) {
      pair.advance(60_000);
      machine.send(ascii(`${day}`), pair.now);
    }
    pair.advance(60_000);
    const events = pair.takeEvents();
    expect(events[role].filter(({ type }) => type === "rekeyed").length).toBeGreaterThanOrEqual(3);
    expect(events[role === "client" ? "server" : "client"].filter(({ type }) => type === "message")).toHaveLength(3);
    expect([pair.client.state, pair.server.state]).toEqual(["established", "established"]);
  });

  it("rekeys with any peer under the policy always", () => {
    const { machine } = establishedDatagram(role, forBoth({ policy: "always", afterMs: 20_000 }));
    for (let ms = 0; ms <= 20_000; ms += 500) machine.handleTimeout(after(ms));
    expect(sent(machine).frames.map(typeOf)).toContain("REKEY");
  });
});
