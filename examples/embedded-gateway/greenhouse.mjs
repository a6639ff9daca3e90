import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { openGateway } from "@usmp/gateway";
import { parseListenAddress } from "usmp";

const FOLDER = "greenhouse";
const READINGS = `${FOLDER}/readings.json`;
const BEDS = [{ id: "02:00:00:00:00:01", name: "bed-1" }];
const TOO_HOT = 20;
/** Who the audit says it was. */
const ACTOR = { who: "greenhouse", from: "the application" };

mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
const readings = loadReadings();

const gateway = await openGateway({
  dataDirectory: `${FOLDER}/gateway`,
  udp: process.env.GREENHOUSE_UDP ?? ":9000",
  database: undefined, // SQLite in the data directory
  master: { kind: "file", path: `${FOLDER}/gateway/master` },
  surroundings: { variables: process.env, askPassphrase: undefined },
  development: false,
  estimateTextBits: () => 0, // no key is brought along here, so none has to be judged
  version: "1.0.0",
});
// The gateway reads the sessions and stores what comes; then it tells of it.
gateway.events.on((event) => {
  if (event.type === "message") void take(event.message);
});
gateway.onRefused(({ claimedId, cause }) => console.log("refused", claimedId ?? "no id", cause.cause));
for (const bed of BEDS) await enrol(bed);

const page = createServer((_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(`${JSON.stringify(Object.fromEntries(readings))}\n`);
});
const { host, port } = parseListenAddress(process.env.GREENHOUSE_HTTP ?? "127.0.0.1:8080", "GREENHOUSE_HTTP");
page.listen(port, host ?? "127.0.0.1", () => console.log("listening"));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    page.close();
    page.closeAllConnections();
    void gateway.close(); // says BYE to the beds
  });
}

/** Gives a new bed its key, in a file: the only time that it leaves the gateway. */
async function enrol({ id, name }) {
  if (gateway.registry.device(id) !== undefined) return;
  const { key } = await gateway.registry.add({ id, name, tags: ["greenhouse"] }, ACTOR);
  writeFileSync(`${FOLDER}/${name}.key`, `${Buffer.from(key.expose()).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  key.wipe();
}

/** One message of a bed. */
async function take({ device, data, time }) {
  const bed = gateway.registry.device(device)?.name ?? device;
  const reading = parseReading(data);
  if (reading === undefined) {
    console.log(bed, "sent what is no reading");
    return;
  }
  console.log(bed, reading.temperature);
  readings.set(bed, { ...reading, at: new Date(time).toISOString() });
  saveReadings();
  if (reading.temperature > TOO_HOT && reading.vent === "closed") {
    // It rejects when the bed has left meanwhile; its next reading asks again.
    await gateway
      .session(device)
      ?.session.send("vent open")
      .catch(() => undefined);
  }
}

/** A device has proven who it is, not that it is right. */
function parseReading(message) {
  try {
    const { temperature, vent } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(message));
    const good = typeof temperature === "number" && (vent === "open" || vent === "closed");
    return good ? { temperature, vent } : undefined;
  } catch {
    return undefined;
  }
}

function loadReadings() {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(READINGS, "utf8"))));
  } catch (error) {
    if (error.code === "ENOENT") return new Map();
    throw error;
  }
}

/** Whole or not at all. */
function saveReadings() {
  writeFileSync(`${READINGS}.new`, JSON.stringify(Object.fromEntries(readings)));
  renameSync(`${READINGS}.new`, READINGS);
}
