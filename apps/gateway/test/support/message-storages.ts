import type { TestHome } from "./registries.ts";
import { type MessageStorage, openMessageStorage } from "../../src/messages/storage.ts";

/** PostgreSQL notices a client that was killed, and lets go of its lock, a moment later. */
export async function openMessagesSoon(home: TestHome): Promise<MessageStorage> {
  for (let tries = 0; ; tries++) {
    try {
      return await openMessageStorage({ dataDirectory: home.directory, database: home.database });
    } catch (error) {
      if (tries === 100 || (error as { code?: string }).code !== "already-running") throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
