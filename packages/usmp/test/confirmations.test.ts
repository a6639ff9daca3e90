import { describe, expect, test } from "vitest";
import { Confirmations } from "../src/confirmations.ts";
import { DeliveryUnknownError } from "../src/index.ts";
import { pair, patterned, TRANSPORTS } from "./support/loopback.ts";

describe("who waits for a confirmation", () => {
  const state = async (promise: Promise<void>): Promise<string> => {
    const turn = new Promise<string>((resolve) => setImmediate(resolve, "waiting"));
    return Promise.race([promise.then(() => "confirmed"), turn]);
  };

  test("waits for the PONG to a PING that left later, not for one that was under way", async () => {
    let asked = 0;
    const confirmations = new Confirmations(() => asked++);
    const confirmed = confirmations.wait({ sent: 1, answered: 0 });
    expect(await state(confirmed)).toBe("waiting");
    confirmations.onPong({ sent: 1, answered: 1 });
    expect(await state(confirmed)).toBe("waiting");
    expect(asked).toBe(2);
    confirmations.onPong({ sent: 2, answered: 2 });
    expect(await state(confirmed)).toBe("confirmed");
  });

  test("shares a PING with others, and has another asked for when it came too late for that one", async () => {
    let asked = 0;
    const confirmations = new Confirmations(() => asked++);
    const [a, b] = [confirmations.wait({ sent: 0, answered: 0 }), confirmations.wait({ sent: 0, answered: 0 })];
    const late = confirmations.wait({ sent: 1, answered: 0 });
    expect(await state(late)).toBe("waiting");
    expect(asked).toBe(1);
    confirmations.onPong({ sent: 1, answered: 1 });
    await Promise.all([a, b]);
    expect(asked).toBe(2);
    expect(await state(late)).toBe("waiting");
    confirmations.onClosed({ code: "aborted" });
    await expect(late).rejects.toBeInstanceOf(DeliveryUnknownError);
  });
});

describe.each(TRANSPORTS)("confirm() over %s", (transport) => {
  test("resolves once the peer has what was sent, and costs no more PINGs when that was much", async () => {
    const { client, server } = await pair(transport);
    for (let index = 0; index < 20; index++) await server.send(patterned(1_000));
    await Promise.all([server.confirm(), server.confirm()]);
    expect(client.statistics.messagesReceived).toBe(20);
    // Three frames a message; a PING that asks a silent peer for its proof, one that was wanted meanwhile, and ours.
    expect(server.statistics.framesSent).toBeLessThanOrEqual(20 * 3 + 3);
  });

  test("answers behind the PONG of a ping() that was under way before", async () => {
    const { client, server } = await pair(transport);
    const ping = server.ping();
    const texts = Array.from({ length: 5 }, (_, index) => `message ${index}`);
    for (const text of texts) await server.send(text);
    await server.confirm();
    await ping;
    expect(client.statistics.messagesReceived).toBe(5);
  });

  test("gives up with its signal, and leaves the others waiting", async () => {
    const { server } = await pair(transport);
    await expect(server.confirm({ signal: AbortSignal.abort(new Error("gave up")) })).rejects.toThrow("gave up");
    const controller = new AbortController();
    const given = server.confirm({ signal: controller.signal });
    const other = server.confirm();
    controller.abort(new Error("gave up"));
    if (transport === "tcp") await expect(given).rejects.toThrow("gave up");
    await other;
  });
});

test("confirm() rejects as unknown over TCP when the session ends before, and when it had ended", async () => {
  const { client, server } = await pair("tcp");
  await server.send("is it there?");
  const confirming = server.confirm();
  client.abort();
  server.abort();
  await expect(confirming).rejects.toBeInstanceOf(DeliveryUnknownError);
  await server.closed;
  await expect(server.confirm()).rejects.toBeInstanceOf(DeliveryUnknownError);
});
