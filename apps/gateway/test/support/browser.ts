import { existsSync } from "node:fs";

/** Debian's Chromium; in one line why what needs it is skipped. Under CI=true that is an error. */
export function chromium(): string | undefined {
  const path = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((each) => existsSync(each));
  if (path !== undefined) return path;
  const reason = "Chromium is missing: npm run test:setup installs it";
  if (process.env["CI"] === "true") throw new Error(reason);
  process.stderr.write(`${reason}; the tests of pages in a browser are skipped\n`);
  return undefined;
}
