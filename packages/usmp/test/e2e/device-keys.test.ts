import { createSocket } from "node:dgram";
import { inspect } from "node:util";
import { Secret } from "@usmp/protocol";
import { describe, expect, onTestFinished, test } from "vitest";
import type { PskAnswer } from "../../src/api.ts";
import {
  LOOPBACK,
  OTHER_TEST_PSK,
  open,
  pair,
  sendUnwatched,
  serve,
  TEST_PSK,
  TRANSPORTS,
} from "../support/loopback.ts";
import { RawTcp } from "../support/raw-tcp.ts";

const secrets: Secret[] = [];

/** Candidate keys as a gateway gives them: the library wipes them. */
function candidates(...keys: readonly [label: number, key: Uint8Array][]): () => PskAnswer {
  return () =>
    keys.map(([label, key]) => {
      const psk = new Secret(key);
      secrets.push(psk);
      return { psk, label };
    });
}

describe.each(TRANSPORTS)("over %s", (transport) => {
  test("a session tells the label of the key that was proven, and labelled keys are wiped", async () => {
    secrets.length = 0;
    const { server, client } = await pair(transport, {
      server: { psk: candidates([7, OTHER_TEST_PSK], [6, TEST_PSK]) },
    });
    expect(server.keyLabel).toBe(6);
    expect(client.keyLabel).toBeUndefined();
    expect(secrets.map(({ wiped }) => wiped)).toEqual([true, true]);
  });

  test("a refusal's proof can be tried with the keys of its owner, and is not shown", async () => {
    const listening = await serve({ psk: candidates([1, OTHER_TEST_PSK]) });
    await expect(open(listening.address(transport), { transport, handshakeTimeoutMs: 500 })).rejects.toThrow();
    const [refusal] = listening.refusals;
    using mine = new Secret(TEST_PSK);
    using other = new Secret(OTHER_TEST_PSK);
    expect(refusal?.reason).toEqual({ code: "authentication-failed", cause: "wrong-key" });
    expect([refusal?.proof?.matches(mine), refusal?.proof?.matches(other)]).toEqual([true, false]);
    expect(inspect(refusal, { depth: 9, showHidden: true })).toMatch(/proof: ProofTrial \{\}/);
  });

  test("dismiss() ends both ends, drops what waits on either side, and tells its cause", async () => {
    const { server, client } = await pair(transport);
    await client.send("before");
    await client.send("unread");
    expect(Buffer.from((await server.receive()) ?? [])).toEqual(Buffer.from("before"));
    await client.ping();
    server.dismiss("revoked");
    sendUnwatched(server, "never");
    expect(await server.closed).toEqual({ code: "dismissed", cause: "revoked" });
    expect(await server.receive()).toBeUndefined();
    expect(await client.closed).toEqual({ code: "closed-by-peer" });
    expect(await client.receive()).toBeUndefined();
  });
});

test("a labelled key that may not be used is wiped, and is a failed look-up", async () => {
  secrets.length = 0;
  const listening = await serve({ psk: candidates([1, Buffer.from("usmp-dev-psk-change-me-before-prod")]) });
  await expect(open(listening.address("tcp"))).rejects.toThrow();
  expect(listening.refusals[0]?.reason.code).toBe("lookup-failed");
  expect(secrets.map(({ wiped }) => wiped)).toEqual([true]);
});

test("a refusal of bytes that are no frame says where, over TCP and over UDP", async () => {
  const listening = await serve();
  const tls = Buffer.from("16030102000100 01fc0303 0102".replaceAll(" ", ""), "hex");
  const raw = await RawTcp.connect(listening.address("tcp"));
  await raw.write(tls);
  await raw.ended;
  const socket = createSocket("udp4");
  onTestFinished(() => void socket.close());
  const { port } = listening.address("udp");
  for (let sent = 0; sent < 50; sent++) socket.send(tls, port, LOOPBACK);
  await expect.poll(() => listening.server.statistics.dropped["bad-magic"] ?? 0).toBeGreaterThanOrEqual(10);
  const [first, ...others] = listening.refusals;
  const breach = { offset: 0, head: Uint8Array.from(tls.subarray(0, 4)) };
  const reason = { code: "protocol-violation", violation: "bad-magic", during: "handshake" };
  expect(first).toMatchObject({ peer: { transport: "tcp" }, reason, breach });
  expect(others[0]).toMatchObject({ peer: { transport: "udp" }, claimedDeviceId: undefined, reason, breach });
  expect(others.length).toBeLessThanOrEqual(6);
});
