import { VirtualClock } from "@usmp/testkit";
import type { Session, SessionStatistics } from "usmp";
import { expect, test } from "vitest";
import type { GatewaySession } from "../../src/gateway/gateway.ts";
import { SessionSampler } from "../../src/metrics/session-sampler.ts";

type Counters = { -readonly [Field in keyof SessionStatistics]: SessionStatistics[Field] };

/** As much of a session as a sampler looks at. */
class FakeSession {
  readonly counters: Counters = {
    framesSent: 0,
    framesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
    retransmissions: 0,
    dropped: {},
    epoch: 0,
    roundTripMs: undefined,
  };
  readonly admitted: GatewaySession;
  end: () => void = () => {};
  open = true;
  looks = 0;

  constructor(transport: "tcp" | "udp" = "udp") {
    const closed = new Promise<void>((resolve) => {
      this.end = () => {
        this.open = false;
        resolve();
      };
    });
    const fake = this;
    const session = {
      transport,
      closed,
      get open() {
        return fake.open;
      },
      get statistics() {
        fake.looks++;
        return { ...fake.counters, dropped: { ...fake.counters.dropped } };
      },
    };
    this.admitted = { session: session as unknown as Session, generation: 1 };
  }

  receive(messages: number): void {
    this.counters.messagesReceived += messages;
    this.counters.bytesReceived += messages * 50;
  }
}

function trial() {
  const clock = new VirtualClock();
  const sampler = new SessionSampler(clock, () => clock.now());
  return { clock, sampler };
}

test("totals grow by what sessions did, and keep what ended ones had done", async () => {
  const { clock, sampler } = trial();
  const [udp, tcp] = [new FakeSession("udp"), new FakeSession("tcp")];
  sampler.add(udp.admitted);
  sampler.add(tcp.admitted);
  udp.receive(3);
  Object.assign(udp.counters, { retransmissions: 2, epoch: 1, dropped: { replay: 2 } });
  tcp.receive(5);
  await sampler.lookNow();
  await sampler.lookNow();
  expect(sampler.sessions).toEqual({ tcp: 1, udp: 1 });
  expect(sampler.totals.udp).toMatchObject({ messagesReceived: 3, bytesReceived: 150, retransmissions: 2, rekeys: 1 });
  udp.receive(4);
  udp.counters.dropped = { replay: 3, "bad-crc": 1 };
  udp.end();
  await clock.elapse(0);
  expect(sampler.sessions).toEqual({ tcp: 1, udp: 0 });
  expect(sampler.totals.udp.messagesReceived).toBe(7);
  expect(sampler.totals.tcp.messagesReceived).toBe(5);
  expect(Object.fromEntries(sampler.dropped)).toEqual({ replay: 3, "bad-crc": 1 });
  expect(sampler.pace(udp.admitted)).toBeUndefined();
  // What it had counted stays, whatever comes after.
  await sampler.lookNow();
  expect(sampler.totals.udp).toMatchObject({ messagesReceived: 7, rekeys: 1 });
});

test("it looks every five seconds by itself; rates and the last sign of life are of then", async () => {
  const { clock, sampler } = trial();
  const session = new FakeSession();
  sampler.add(session.admitted);
  session.receive(10);
  await clock.elapse(5_000);
  await clock.elapse(0);
  expect(sampler.pace(session.admitted)).toMatchObject({ rate: 2, since: 0, seenAt: 5_000 });
  await clock.elapse(5_000);
  await clock.elapse(0);
  expect(sampler.pace(session.admitted)).toMatchObject({ rate: 0, seenAt: 5_000 });
  session.counters.messagesSent += 50;
  await clock.elapse(5_000);
  await clock.elapse(0);
  // What we send is no sign of life.
  expect(sampler.pace(session.admitted)).toMatchObject({ rate: 10, seenAt: 5_000 });
  sampler.close();
  expect(clock.pendingAlarms).toBe(0);
});

test("who asks often gets what is known, and a rate over less than a second is none", async () => {
  const { clock, sampler } = trial();
  const session = new FakeSession();
  sampler.add(session.admitted);
  for (let i = 0; i < 10; i++) {
    session.receive(1);
    await sampler.look();
    await clock.elapse(200);
  }
  expect(session.looks).toBe(2);
  expect(sampler.pace(session.admitted)?.rate).toBe(6);
});

test("thousands of sessions take several turns of the event loop, and one that ends between them is counted once", async () => {
  const { sampler } = trial();
  const sessions = Array.from({ length: 2_500 }, () => new FakeSession());
  for (const session of sessions) {
    sampler.add(session.admitted);
    session.receive(1);
  }
  let turns = 0;
  const looking = sampler.lookNow();
  const last = sessions.at(-1) as FakeSession;
  let done = false;
  void looking.then(() => {
    done = true;
  });
  while (!done) {
    if (turns++ === 1) last.end();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(turns).toBeGreaterThanOrEqual(2);
  expect(sampler.totals.udp.messagesReceived).toBe(2_500);
});
