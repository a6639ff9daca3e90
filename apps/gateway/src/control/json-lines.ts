import type { Socket } from "node:net";
import { GatewayError } from "../errors.ts";

/** A line has at most so many bytes, in both directions. */
const LONGEST_LINE = 1_048_576;

/** The values of a stream of JSON lines. Throws GatewayError "control" for a line that is none, or too long. */
export async function* readLines(socket: Socket): AsyncGenerator<unknown> {
  let pieces: Buffer[] = [];
  let length = 0;
  // What reads this may still have an answer to write when it stops reading.
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    let rest = chunk;
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
      const line = Buffer.concat([...pieces, rest.subarray(0, end)]);
      pieces = [];
      length = 0;
      rest = rest.subarray(end + 1);
      yield parse(line);
    }
    pieces.push(rest);
    length += rest.length;
    if (length > LONGEST_LINE)
      throw new GatewayError("control", `a line of the control socket is longer than ${LONGEST_LINE} bytes`);
  }
}

/** Resolves when the other side has room again: who asks for a long list and does not read it holds up only himself. */
export async function writeLine(socket: Socket, value: unknown): Promise<void> {
  if (socket.destroyed) throw new GatewayError("control", "the connection to the gateway has ended");
  if (socket.write(`${JSON.stringify(value)}\n`)) return;
  // As many wait as have asked at once: Node would take that for a leak.
  socket.setMaxListeners(0);
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString("utf8"));
  } catch {
    throw new GatewayError("control", "a line of the control socket is not JSON");
  } finally {
    line.fill(0); // keys travel here
  }
}
