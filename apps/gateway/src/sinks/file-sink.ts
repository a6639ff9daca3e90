import { jsonLine } from "../files/json-line.ts";
import { LineFile } from "../files/line-file.ts";
import { messageOf } from "../master/secret-file.ts";
import { messageObject } from "./message-json.ts";
import { type Sink, type SinkContext, SinkError } from "./sink.ts";
import { SinkOptions } from "./sink-options.ts";

const SMALLEST_FILE = 65_536;
const DEFAULT_KEEP = 5;

/** JSON lines in a file: `path`, and to have it rotated by the gateway `maxBytes` and `keep`. */
export async function openFileSink(given: Readonly<Record<string, unknown>>, context: SinkContext): Promise<Sink> {
  const options = new SinkOptions(given, context, ["path", "maxBytes", "keep"]);
  const path = options.path("path");
  const maxBytes = options.whole("maxBytes", {
    least: SMALLEST_FILE,
    most: Number.MAX_SAFE_INTEGER,
    otherwise: Number.MAX_SAFE_INTEGER,
  });
  const file = new LineFile(path, {
    maxBytes,
    keep: options.whole("keep", { least: 0, most: 1_000, otherwise: DEFAULT_KEEP }),
  });
  try {
    await file.open();
  } catch (error) {
    options.refuse("path", messageOf(error));
  }
  return {
    async deliver(batch) {
      try {
        await file.append(batch.map((message) => jsonLine(messageObject(message))).join(""));
      } catch (error) {
        throw new SinkError(messageOf(error), { retry: true, cause: error });
      }
    },
    close: () => file.close(),
  };
}
