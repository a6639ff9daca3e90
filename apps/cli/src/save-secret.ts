import { open, rm } from "node:fs/promises";
import { usage } from "./failure.ts";

/** A new file of mode 0600, made before the secret is, so that none is handed out that cannot be kept. */
export async function saveSecret(
  path: string,
): Promise<{ write(text: string): Promise<void>; remove(): Promise<void> }> {
  const file = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") throw usage(`${path} exists; give another name: a secret overwrites nothing`);
    throw error;
  });
  return {
    async write(text) {
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
    },
    async remove() {
      await file.close().catch(() => {});
      await rm(path, { force: true });
    },
  };
}
