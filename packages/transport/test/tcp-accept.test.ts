import { createServer } from "node:net";
import { connectTcp, listenTcp, type StreamTransport } from "@usmp/transport";
import { expect, test, vi } from "vitest";
import { StreamRecorder } from "./recorder.ts";

vi.mock("../src/tcp-accept.ts", async (importOriginal) => {
  const original = await importOriginal<typeof import("../src/tcp-accept.ts")>();
  // As on a Node that has changed inside.
  return { ...original, catchHandles: () => false };
});

test("where Node's listening handle is another one than we know, its own sockets serve as well", async () => {
  let resolve!: (transport: StreamTransport) => void;
  const promise = new Promise<StreamTransport>((res) => {
    resolve = res;
  });
  const listener = await listenTcp({ host: "127.0.0.1", port: 0 }, resolve);
  const client = await connectTcp(listener.address);
  const [clientSide, serverSide] = [new StreamRecorder(), new StreamRecorder()];
  client.start(clientSide);
  client.write(Buffer.from("early"));
  const server = await promise;
  server.start(serverSide);
  await serverSide.receivedAtLeast(5);
  server.write(Buffer.from("answer"));
  client.end();
  await Promise.all([serverSide.called("close"), clientSide.called("close")]);
  expect(serverSide.received.toString()).toBe("early");
  expect(clientSide.received.toString()).toBe("answer");
  await listener.close();
});

test("a server that does not listen has no handle to catch connections from", async () => {
  const { catchHandles } = await vi.importActual<typeof import("../src/tcp-accept.ts")>("../src/tcp-accept.ts");
  const options = { onread: { buffer: new Uint8Array(1), callback: () => true } };
  expect(catchHandles(createServer(), options, () => {})).toBe(false);
});
