import { connect, type Link } from "../../src/index.ts";
import { TEST_PSK } from "../support/test-key.ts";

/**
 * A process that the test stops and lets go on: `node stopped-client.mjs tcp|udp PORT`. It keeps a link with short limits, and reports what
 * it has lived through when it is asked. Its server's word "end" ends it.
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
process.send?.({ event: "begun" });
process.once("message", () => {
  const { sessions, ends } = link.statistics;
  process.send?.({ event: "report", sessions, ends, open: link.session?.open }, () => process.disconnect());
  link.abort();
});
// Only the link is to keep the process alive.
process.channel?.unref();
await link.connected();
if (process.connected) process.send?.({ event: "connected" });
for await (const message of link) if (Buffer.from(message).toString() === "end") await link.close();
