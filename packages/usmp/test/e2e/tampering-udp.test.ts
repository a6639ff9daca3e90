import { type FrameTypeName, looksLikeUtack } from "@usmp/protocol";
import { type Direction, opposite, SeededRandom, UdpRelay } from "@usmp/testkit";
import type { Session } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { typeOf } from "../../../protocol/test/support/raw-peer.ts";
import { changesOf, nameOf } from "../support/fields.ts";
import { expectEcho, type LoopbackServer, open, serve, textOf } from "../support/loopback.ts";

const HANDSHAKE_FRAMES = ["HELLO", "HELLO_RETRY", "CHALLENGE", "HELLO_ACK", "SESSION_OK"] as const;
const SESSION_FRAMES = ["DATA", "DATA_FRAG", "PING", "PONG", "REKEY"] as const;

/** What one test does to the first datagram that it is meant for. */
interface Tampering {
  readonly meant: (datagram: Uint8Array, direction: Direction) => boolean;
  readonly apply: (datagram: Uint8Array) => Uint8Array;
}

describe("a man in the middle of UDP who flips one field", () => {
  test.each(HANDSHAKE_FRAMES)(
    "of %s only costs the handshake time: it is dropped and the true one still counts",
    async (type) => {
      await Promise.all(
        changesOf(type).map(async (change) => {
          const { relay, listening, changed } = await tamper({
            meant: (datagram) => !looksLikeUtack(datagram) && typeOf(datagram) === type,
            apply: change.apply,
          });
          const client = await open(relay.address, { transport: "udp" });
          await expectEcho(client, await listening.accept(), nameOf(change));
          expect(changed(), nameOf(change)).toBe(1);
          expect(listening.server.sessions.size, nameOf(change)).toBe(1);
        }),
      );
    },
  );

  test("of the HELLO that carries the cookie costs it time as well", async () => {
    await Promise.all(
      changesOf("HELLO").map(async (change) => {
        const { relay, listening } = await tamper({
          meant: (datagram) => datagram.length === 66 && typeOf(datagram) === "HELLO",
          apply: change.apply,
        });
        const client = await open(relay.address, { transport: "udp" });
        await expectEcho(client, await listening.accept(), nameOf(change));
      }),
    );
  });

  describe.each(["client-to-server", "server-to-client"] as const)("%s", (direction) => {
    test.each(SESSION_FRAMES)("of %s has it dropped and counted, and the session lives on", async (type) => {
      await Promise.all(
        changesOf(type).map((change) =>
          expectDrop(
            {
              meant: (datagram, where) => where === direction && !looksLikeUtack(datagram) && typeOf(datagram) === type,
              apply: change.apply,
            },
            type,
            direction,
            `${type}: ${nameOf(change)}`,
          ),
        ),
      );
    });

    test("of the UTACK of a message has it dropped and counted; the frame goes again and is delivered once", async () => {
      const fields = { magic: 0, type: 2, seq: 3, "mac, first byte": 7, "mac, last byte": 14 };
      await Promise.all(
        Object.entries(fields).map(([field, at]) =>
          expectDrop(
            {
              meant: (datagram, where) => where === opposite(direction) && looksLikeUtack(datagram),
              apply: (datagram) => datagram.map((byte, index) => (index === at ? byte ^ 1 : byte)),
            },
            "DATA",
            direction,
            `UTACK: ${field}`,
          ),
        ),
      );
    });
  });

  test("of BYE delays the end until it is sent again", async () => {
    await Promise.all(
      changesOf("BYE").map(async (change) => {
        const { relay, listening, begin, changed } = await tamper(
          { meant: (datagram) => !looksLikeUtack(datagram) && typeOf(datagram) === "BYE", apply: change.apply },
          false,
        );
        const client = await open(relay.address, { transport: "udp" });
        const server = await listening.accept();
        await expectEcho(client, server);
        begin();
        expect(await client.close(), nameOf(change)).toEqual({ code: "closed-locally" });
        expect(await server.closed, nameOf(change)).toEqual({ code: "closed-by-peer" });
        expect(changed()).toBe(1);
      }),
    );
  });
});

async function expectDrop(
  tampering: Tampering,
  type: FrameTypeName,
  direction: Direction,
  what: string,
): Promise<void> {
  const { relay, listening, begin, changed } = await tamper(tampering, false);
  const client = await open(relay.address, { transport: "udp" });
  const server = await listening.accept();
  await expectEcho(client, server);
  const before = drops(listening, client, server);
  begin();
  const [sender, receiver] = direction === "client-to-server" ? [client, server] : [server, client];
  await provoke(type, sender, receiver);
  await expectEcho(client, server, what);
  expect(changed(), what).toBe(1);
  expect(drops(listening, client, server), what).toBeGreaterThan(before);
  expect([client.open, server.open], what).toEqual([true, true]);
}

/** Makes `sender` send a frame of this type, and waits until it has done its work at the receiver. */
async function provoke(type: FrameTypeName, sender: Session, receiver: Session): Promise<void> {
  if (type === "DATA") {
    await sender.send("once");
    expect(textOf(await receiver.receive())).toBe("once");
  } else if (type === "DATA_FRAG") {
    await sender.send(new Uint8Array(1808).fill(7));
    expect(Buffer.from((await receiver.receive()) ?? [])).toEqual(Buffer.alloc(1808, 7));
  } else if (type === "PING") await sender.ping();
  else if (type === "PONG") await receiver.ping();
  else await sender.rekey();
}

/** Everything that was dropped anywhere. */
function drops(listening: LoopbackServer, ...sessions: readonly Session[]): number {
  const all = [listening.server.statistics, ...sessions.map(({ statistics }) => statistics)];
  return all.flatMap(({ dropped }) => Object.values(dropped)).reduce((sum, count) => sum + count, 0);
}

/** A relay that changes the first datagram that is meant: at once, or once begin() was called. */
async function tamper({ meant, apply }: Tampering, atOnce = true) {
  const listening = await serve();
  let armed = atOnce;
  let changed = 0;
  const relay: UdpRelay = await UdpRelay.start({
    server: listening.address("udp"),
    random: new SeededRandom(0),
    decide: ({ bytes, direction }) => {
      if (!armed || changed > 0 || !meant(bytes, direction)) return "deliver";
      changed++;
      relay.inject(direction, apply(bytes));
      return "drop";
    },
  });
  onTestFinished(() => relay.close());
  const begin = (): void => {
    armed = true;
  };
  return { relay, listening, changed: () => changed, begin };
}
