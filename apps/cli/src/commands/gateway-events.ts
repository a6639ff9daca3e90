import type { Gateway } from "@usmp/gateway";
import type { OutputStream } from "../environment.ts";
import { movedEvent } from "../events.ts";
import type { Reporter } from "../reporter.ts";

/** Prints sessions that move, and notices; none while nobody takes our output, so that no one's flood fills the memory. */
export function reportEvents({ events }: Pick<Gateway, "events">, output: OutputStream, reporter: Reporter): void {
  events.on((event) => {
    if (output.writableNeedDrain) return;
    if (event.type === "moved") {
      const { device, session, move } = event;
      void reporter.event(movedEvent({ deviceId: device, sessionId: session }, move));
    } else if (event.type === "notice") {
      const { topic, message } = event;
      void reporter.event({ event: "notice", topic, message });
    }
  });
}
