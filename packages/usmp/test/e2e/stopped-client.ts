import { connect, type Link } from "../../src/index.ts";
import { TEST_PSK } from "../support/test-key.ts";

/**
 * A process that the test stops and lets go on: `node stopped-client.mjs tcp|udp PORT`. It keeps a link with short limits, and prints what
 * it has lived through when it is told to.
 */
const [transport, port] = process.argv.slice(2) as ["tcp" | "udp", string];
const link: Link = await connect({
  host: "127.0.0.1",
  port: Number(port),
  transport,
  psk: TEST_PSK,
  keepaliveMs: 500,
  idleTimeoutMs: 1_500,
  reconnect: { deadAfterMs: 1_000 },
});
await link.connected();
process.send?.({ event: "connected" });
process.on("message", async () => {
  const { sessions, ends } = link.statistics;
  const reason = link.session?.open;
  process.send?.({ event: "report", sessions, ends, open: reason }, () => process.disconnect());
  link.abort();
});
