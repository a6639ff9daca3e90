import { fileURLToPath } from "node:url";
import { build } from "vite";

/** Node 20 cannot run TypeScript: the child and the sources under test become one JavaScript file. */
export async function bundleChild(entry: URL, outDir: string): Promise<void> {
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
}
