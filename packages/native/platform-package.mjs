/**
 * `node packages/native/platform-package.mjs linux-x64-gnu [glibc|musl]`: what `npm run build:native` built, as the package of that platform, in
 * build/package. npm installs it only where os, cpu and libc fit.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const FILE = "usmp-native.node";

const [name = "", libc = ""] = process.argv.slice(2);
const [os, cpu] = name.split("-");
if (os === undefined || cpu === undefined) {
  console.error("usage: platform-package.mjs PLATFORM-ARCH[-LIBC] [glibc|musl]");
  process.exit(2);
}
const { version, license, engines } = JSON.parse(readFileSync(join(HERE, "package.json"), "utf8"));
const manifest = {
  name: `@usmp/native-${name}`,
  version,
  description: `The native addon of USMP for ${name}`,
  license,
  main: FILE,
  files: [FILE],
  engines,
  os: [os],
  cpu: [cpu],
  ...(libc !== "" && { libc: [libc] }),
};
const folder = join(HERE, "build", "package");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
copyFileSync(join(HERE, "build", FILE), join(folder, FILE));
