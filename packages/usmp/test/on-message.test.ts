import { describe, expect, test } from "vitest";
import { deferred } from "../src/waiting.ts";
import { pair, TRANSPORTS, textOf } from "./support/loopback.ts";

describe.each(TRANSPORTS)("onMessage over %s", (transport) => {
  test("gets what came before it was set, then each message as it comes, in order", async () => {
    const { client, server } = await pair(transport);
    await client.send("one");
    await client.send("two");
    const heard: (string | undefined)[] = [];
    const third = deferred<void>();
    server.onMessage = (message) => {
      heard.push(textOf(message));
      if (heard.length === 3) third.resolve();
    };
    await client.send("three");
    await third.promise;
    expect(heard).toEqual(["one", "two", "three"]);
  });

  test("makes an echo of send() alone", async () => {
    const { client, server } = await pair(transport);
    server.onMessage = (message) => server.send(message);
    await Promise.all([client.send("here"), client.send("and back")]);
    expect([textOf(await client.receive()), textOf(await client.receive())]).toEqual(["here", "and back"]);
  });

  test("gets no further message before the promise that it answered is settled", async () => {
    const { client, server } = await pair(transport);
    const first = deferred<void>();
    const second = deferred<void>();
    const heard: (string | undefined)[] = [];
    server.onMessage = (message) => {
      heard.push(textOf(message));
      if (heard.length === 2) second.resolve();
      return heard.length === 1 ? first.promise : undefined;
    };
    const sent = Promise.all([client.send("one"), client.send("two")]);
    await client.ping();
    await client.ping();
    expect(heard).toEqual(["one"]);
    first.resolve();
    await second.promise;
    await sent;
    expect(heard).toEqual(["one", "two"]);
  });

  test("that is taken away leaves the rest to receive()", async () => {
    const { client, server } = await pair(transport);
    server.onMessage = () => {
      server.onMessage = undefined;
    };
    await client.send("for the handler");
    await client.send("for the reader");
    expect(textOf(await server.receive())).toBe("for the reader");
    expect(server.onMessage).toBeUndefined();
  });

  test("may end with the session: a send() of its that can not be done any more is no unhandled rejection", async () => {
    const { client, server } = await pair(transport);
    server.onMessage = (message) => {
      server.abort();
      return server.send(message);
    };
    void client.send("last").catch(() => {});
    expect(await server.closed).toEqual({ code: "aborted" });
  });

  test("that throws is an uncaught exception, and the session goes on", async () => {
    const { client, server } = await pair(transport);
    const thrown = uncaught();
    const answered = deferred<string | undefined>();
    server.onMessage = (message) => {
      if (message.length === 0) throw new Error("the handler's own");
      answered.resolve(textOf(message));
    };
    await client.send("");
    await client.send("next");
    expect(await answered.promise).toBe("next");
    expect(await thrown).toMatchObject({ message: "the handler's own" });
  });
});

/** The next exception that nobody catches; the test runner's own listeners do not hear of it. */
function uncaught(): Promise<unknown> {
  return new Promise((resolve) => {
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => {
      for (const listener of listeners) process.on("uncaughtException", listener);
      resolve(error);
    });
  });
}
