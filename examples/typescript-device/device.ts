import { readFileSync } from "node:fs";
import { connect, type LinkState, parseConnectAddress, parseKey } from "usmp";

const address = process.env["USMP_ADDRESS"] ?? "127.0.0.1:9000";
const keyFile = process.env["USMP_PSK_FILE"] ?? "device.key";
const READING_EVERY_MS = 1_000;

const { host, port } = parseConnectAddress(address, "USMP_ADDRESS");
// 64 hex digits in the file are 32 raw bytes.
const { key } = parseKey(Buffer.from(readFileSync(keyFile, "utf8").trim()), keyFile);

const link = await connect({
  host,
  port,
  transport: "udp",
  deviceId: process.env["USMP_DEVICE_ID"] ?? "02:00:00:00:00:01",
  psk: key,
  // Readings of the last minute wait while there is no session; older ones go first.
  reconnect: { onState: tell, outbox: { messages: 60 } },
});

let vent = "closed";
const readings = setInterval(() => void report(reading()), READING_EVERY_MS);
process.once("SIGINT", () => void leave()).once("SIGTERM", () => void leave());

// Ends when the link does.
for await (const message of link) {
  const command = new TextDecoder().decode(message);
  if (command === "vent open" || command === "vent close") {
    vent = command === "vent open" ? "open" : "closed";
    console.log(command);
  } else {
    console.log("unknown command", JSON.stringify(command));
  }
}

function reading(): string {
  // A sensor in its place.
  return JSON.stringify({ temperature: vent === "open" ? 19.5 : 21.5, vent });
}

/** "delivered", "unknown" (it left, and no acknowledgement came) or "dropped". */
async function report(text: string): Promise<void> {
  const { fate } = await link.send(text).outcome;
  console.log(fate, text);
}

function tell(state: LinkState): void {
  if (state.name === "waiting")
    console.log(`waiting ${(state.retryInMs / 1_000).toFixed(1)} s: ${state.error.message}`);
  else console.log(state.name);
}

async function leave(): Promise<void> {
  clearInterval(readings);
  await link.close();
  key.wipe();
}
