import { expect, test } from "vitest";
import { open, TRANSPORTS, textOf } from "../support/loopback.ts";
import { ServerProcess } from "../support/server-process.ts";

const DEVICES = 200;

// Their handshakes wait for their turn, chunks and datagrams of theirs with them.
test.each(TRANSPORTS)(
  "%s: two hundred devices that come at once are all let in, and a session goes on meanwhile",
  async (transport) => {
    const server = await ServerProcess.start();
    const to = server.address(transport);
    const steady = await open(to, { transport });
    let settled = false;
    const crowd = Promise.all(
      Array.from({ length: DEVICES }, (_, i) =>
        open(to, { transport, deviceId: `02:00:00:00:03:${i.toString(16).padStart(2, "0")}` }),
      ),
    ).finally(() => {
      settled = true;
    });
    let rounds = 0;
    for (; !settled; rounds++) {
      await steady.send(`round ${rounds}`);
      expect(textOf(await steady.receive())).toBe(`round ${rounds}`);
    }
    const sessions = await crowd;
    expect(rounds).toBeGreaterThan(3);
    for (const session of sessions) {
      await session.send(session.sessionId);
      expect(textOf(await session.receive())).toBe(session.sessionId);
    }
    expect((await server.ask()).statistics).toMatchObject({ sessionsEstablished: DEVICES + 1, refused: {} });
  },
);
