import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ApiGateway } from "../support/api-gateway.ts";
import { TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const VIEWERS = 1_000;
const MEASURED_MS = 3_000;

/** Asks for the live stream and reads nothing of it, ever. */
async function deaf(port: number, token: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.pause();
  socket.write(
    `GET /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\naccept: text/event-stream\r\n\r\n`,
  );
  return socket;
}

test("1,000 slow viewers of the live stream do not slow a device", async () => {
  const home = new TestHome(undefined);
  const api = await ApiGateway.open(home);
  onTestFinished(() => home.remove());
  const { gateway } = api.test;
  gateway.events.on((event) => {
    if (event.type !== "message") return;
    gateway
      .session(ID)
      ?.session.send(event.message.data)
      .catch(() => {});
  });
  const { psk } = await api.test.add(ID);
  const device = await api.test.device(ID, psk);
  const replies = device[Symbol.asyncIterator]();
  /** Round trips in milliseconds, one after the other for some seconds: their median and the worst of a hundred. */
  const measure = async (): Promise<{ p50: number; p99: number }> => {
    const times: number[] = [];
    for (const end = performance.now() + MEASURED_MS; performance.now() < end; ) {
      const sent = performance.now();
      await device.send("reading");
      await replies.next();
      times.push(performance.now() - sent);
    }
    times.sort((a, b) => a - b);
    const at = (share: number): number => times[Math.floor(times.length * share)] as number;
    return { p50: at(0.5), p99: at(0.99) };
  };
  /** What happens at the gateway while the device talks: 20 events a second, each of which goes to every viewer. */
  const noise = setInterval(
    () => gateway.events.emit({ type: "notice", time: Date.now(), topic: "test", message: "x".repeat(500) }),
    50,
  );
  onTestFinished(() => clearInterval(noise));
  await measure();
  const quiet = await measure();

  const port = gateway.httpAddress?.port as number;
  const tokens = await Promise.all(
    Array.from({ length: 5 }, (_, index) =>
      api.test.control.call("token.add", { name: `viewer ${index}`, role: "viewer" }),
    ),
  );
  const viewers: Socket[] = [];
  for (let index = 0; index < VIEWERS; index++) viewers.push(await deaf(port, tokens[index % 5]?.token as string));
  onTestFinished(() => {
    for (const viewer of viewers) viewer.destroy();
  });
  const heard = Promise.all(viewers.slice(-3).map((viewer) => once(viewer, "readable")));
  await heard;
  const before = process.memoryUsage().rss;
  const crowded = await measure();
  const grown = (process.memoryUsage().rss - before) / 1_048_576;
  const figures = ({ p50, p99 }: { p50: number; p99: number }): string =>
    `p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms`;
  process.stderr.write(
    `round trip without viewers ${figures(quiet)}; with ${VIEWERS} that do not read ${figures(crowded)}; memory grew by ${grown.toFixed(0)} MB\n`,
  );
  // Viewers, gateway and device share one process here, and 20,000 writes a second are made for the viewers.
  expect(crowded.p50).toBeLessThan(2 * quiet.p50 + 1);
  expect(crowded.p99).toBeLessThan(2 * quiet.p99 + 25);
  expect(grown).toBeLessThan(200);
  const admin = await api.ask("GET", "/v1/status");
  expect(admin.status).toBe(200);
}, 120_000);
