/** How much a browser has to load: the whole protocol core and the noble provider, in one minified bundle. */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

export async function bundleSize() {
  const entry = fileURLToPath(new URL("bundle-entry.mjs", import.meta.url));
  const bundle = await build({
    configFile: false,
    logLevel: "error",
    build: { write: false, target: "es2022", minify: true, lib: { entry, formats: ["es"], fileName: "bundle" } },
  });
  const [output] = Array.isArray(bundle) ? bundle : [bundle];
  if (output === undefined || !("output" in output)) throw new Error("vite gave no bundle");
  const code = output.output.map((chunk) => ("code" in chunk ? chunk.code : "")).join("");
  return { minifiedBytes: Buffer.byteLength(code), gzippedBytes: gzipSync(code, { level: 9 }).length };
}
