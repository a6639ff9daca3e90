import { once } from "node:events";
import type { Environment, OutputStream } from "./environment.ts";
import { LineReader } from "./line-reader.ts";
import { run } from "./program.ts";

/** How long a reader of our output may still take what is left once everything is done. */
const FLUSH_MS = 500;

const stop = new AbortController();

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // Who asks twice does not want to wait for the BYE.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}
for (const stream of [process.stdout, process.stderr]) {
  // A reader that went away (| head) ends the program as SIGPIPE would, with BYE first.
  stream.on("error", () => stop.abort());
}

const environment: Environment = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  lines: new LineReader(process.stdin),
  variables: process.env,
  signal: stop.signal,
  stop: () => stop.abort(),
  now: () => new Date(),
};
const exitCode = await run(process.argv.slice(2), environment);
await Promise.all([flush(process.stdout), flush(process.stderr)]);
// Standard input may still be open: without this the process would wait for it.
process.exit(exitCode);

/** Pipes are written asynchronously: what was accepted must leave before the process does, if somebody reads it. */
async function flush(stream: OutputStream): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed) return;
  await once(stream, "drain", { signal: AbortSignal.timeout(FLUSH_MS) }).catch(() => undefined);
}
