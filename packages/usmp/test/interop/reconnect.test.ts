import { type PythonProtocol, type PythonServer, pythonSdk } from "@usmp/testkit";
import { connect, type Link } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { DEVICE_ID, LOOPBACK, TEST_PSK, textOf } from "../support/loopback.ts";
import { startPythonServer } from "./meeting.ts";

describe.skipIf(!pythonSdk().available)("a link to a server of the Python SDK", () => {
  test.each(["tcp", "udp"] as const)(
    "over %s comes back when its process was killed and started again, with all that was sent meanwhile",
    async (protocol) => {
      const first = await start(protocol, 0);
      const { port } = first.address;
      const link = await linkTo(protocol, port);
      await expectEcho(link, "before");
      await first[Symbol.asyncDispose]();
      // Over UDP this one finds out that the server is gone, and is unknown; what is behind it never left.
      const probe = link.send("anyone?");
      const behind = Array.from({ length: 5 }, (_, number) => link.send(`behind ${number}`));
      if (protocol === "udp") expect((await probe.outcome).fate).toBe("unknown");
      await start(protocol, port);
      const fates = await Promise.all(behind.map(({ outcome }) => outcome));
      // TCP: what the kernel had taken when the end came is unknown, too.
      const delivered = fates.filter(({ fate }) => fate === "delivered").length;
      if (protocol === "udp") expect(delivered).toBe(5);
      expect(fates.every(({ fate }) => fate === "delivered" || fate === "unknown")).toBe(true);
      await expectEcho(link, "after");
      expect(link.statistics.sessions).toBe(2);
    },
  );

  test.each(["tcp", "udp"] as const)(
    "over %s knows that a message has arrived: a PONG, or a UTACK",
    async (protocol) => {
      const server = await start(protocol, 0);
      const link = await linkTo(protocol, server.address.port);
      const deliveries = Array.from({ length: 50 }, (_, number) => link.send(String(number)));
      const fates = await Promise.all(deliveries.map(({ outcome }) => outcome));
      expect(fates.every(({ fate }) => fate === "delivered")).toBe(true);
      for (let number = 0; number < 50; number++) expect(textOf(await link.receive())).toBe(String(number));
    },
  );
});

function start(protocol: PythonProtocol, port: number): Promise<PythonServer> {
  return startPythonServer({ psk: TEST_PSK, protocol, port, echo: true });
}

async function linkTo(transport: PythonProtocol, port: number): Promise<Link> {
  const link = await connect({
    host: LOOPBACK,
    port,
    transport,
    psk: TEST_PSK,
    deviceId: DEVICE_ID,
    reconnect: { backoff: { initialMs: 200, maxMs: 500 }, deadAfterMs: 3_000, wake: false },
    handshakeTimeoutMs: 3_000,
  });
  onTestFinished(() => link.abort());
  return link;
}

/** The echo of this one, whatever came before it. */
async function expectEcho(link: Link, text: string): Promise<void> {
  link.send(text);
  let echo = textOf(await link.receive());
  while (echo !== text) echo = textOf(await link.receive());
}
