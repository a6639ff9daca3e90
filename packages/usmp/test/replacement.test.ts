import { describe, expect, test } from "vitest";
import { DEVICE_ID, expectEcho, type LoopbackServer, open, serve, TRANSPORTS } from "./support/loopback.ts";
import { rawTcpClient } from "./support/raw-tcp.ts";
import { rawUdpClient } from "./support/raw-udp.ts";

const REPLACED = { code: "replaced" };

/** Spec section 3: a relayed HELLO gets as far as SESSION_OK without knowing a key. */
describe.each(TRANSPORTS)("a second session of the same device over %s", (transport) => {
  test("leaves the first alone until its first authentic frame, and then replaces it; the application is told", async () => {
    const listening = await serve();
    const first = await open(listening.address(transport), { transport });
    const firstThere = await listening.accept();
    await expectEcho(first, firstThere);

    const second = await (transport === "tcp" ? overTcp(listening) : overUdp(listening));
    expect(second.ours.deviceId).toBe(DEVICE_ID);
    await expectEcho(first, firstThere, "not replaced by what has shown no key");
    expect(listening.server.sessions.size).toBe(2);

    await second.send(second.keys.seal("DATA", 0, Buffer.from("a key")));
    expect(await firstThere.closed).toEqual(REPLACED);
    expect(Buffer.from((await second.ours.receive()) ?? []).toString()).toBe("a key");
    expect(second.ours.open).toBe(true);
    expect([...listening.server.sessions]).toEqual([second.ours]);
  });

  test("does not bring the first back when it ends", async () => {
    const listening = await serve();
    const first = await open(listening.address(transport), { transport });
    const firstThere = await listening.accept();
    await expectEcho(first, firstThere);
    const second = await open(listening.address(transport), { transport });
    const secondThere = await listening.accept();
    await expectEcho(second, secondThere);
    expect(await firstThere.closed).toEqual(REPLACED);
    await second.close();
    expect(await secondThere.closed).toEqual({ code: "closed-by-peer" });
    expect(listening.server.sessions.size).toBe(0);
  });

  test("of another device replaces nobody", async () => {
    const listening = await serve();
    const first = await open(listening.address(transport), { transport });
    const firstThere = await listening.accept();
    const other = await open(listening.address(transport), { transport, deviceId: "d0:d1:d2:d3:d4:d6" });
    await expectEcho(other, await listening.accept());
    await expectEcho(first, firstThere);
    expect(listening.server.sessions.size).toBe(2);
  });
});

async function overTcp(listening: LoopbackServer) {
  const { ours, keys, raw } = await rawTcpClient(listening);
  return { ours, keys, send: (frame: Uint8Array) => raw.write(frame) };
}

async function overUdp(listening: LoopbackServer) {
  const { ours, keys, raw } = await rawUdpClient(listening);
  return { ours, keys, send: (frame: Uint8Array) => raw.send(frame) };
}
