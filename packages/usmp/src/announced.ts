import type { Session } from "./api.ts";
import type { Inbox } from "./inbox.ts";

/** A server's sessions, one after the other, without those that ended before they were taken. Leaving the loop early leaves the server open. */
export function iterateOpen(announced: Inbox<Session>): AsyncIterator<Session, undefined> {
  return {
    next: async () => {
      let session = announced.poll();
      while (session?.open === false) session = announced.poll();
      session ??= await announced.wait(undefined);
      return session === undefined ? { done: true, value: undefined } : { done: false, value: session };
    },
  };
}
