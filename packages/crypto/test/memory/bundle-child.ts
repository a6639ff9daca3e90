import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ADDON = fileURLToPath(new URL("../../../native/build/usmp-native.node", import.meta.url));

/**
 * Node 20 cannot run TypeScript: the child and the sources under test become one JavaScript file in a folder of `directory`, whose path is
 * the answer. The native addon, where it is built, goes where the bundle looks for it.
 */
export async function bundleChild(entry: URL, directory: string): Promise<string> {
  const outDir = join(directory, "bundle");
  await build({
    configFile: false,
    logLevel: "warn",
    ssr: { noExternal: true, resolve: { conditions: ["usmp-source", "import", "default"] } },
    build: {
      ssr: fileURLToPath(entry),
      outDir,
      emptyOutDir: false,
      minify: false,
      rollupOptions: { output: { entryFileNames: "[name].mjs" } },
    },
  });
  if (existsSync(ADDON)) {
    mkdirSync(join(directory, "build"), { recursive: true });
    copyFileSync(ADDON, join(directory, "build", basename(ADDON)));
  }
  return join(outDir, basename(entry.pathname).replace(/\.ts$/, ".mjs"));
}
