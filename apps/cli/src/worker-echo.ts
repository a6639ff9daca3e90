import type { Session, SessionHandlerContext } from "usmp";
import { UnderWay } from "./under-way.ts";

/** Runs in the worker processes of `usmp serve --workers N --echo`: sends each message back, after it was handed on to be printed. */
export default async function echo(session: Session, { data, relay }: SessionHandlerContext): Promise<void> {
  const { relays } = data as { readonly relays: boolean };
  const echoes = new UnderWay();
  for await (const message of session) {
    if (relays) await relay(message);
    // What cannot be sent back any more is told by the reason of the end.
    await echoes.add(session.send(message).catch(() => undefined));
  }
}
