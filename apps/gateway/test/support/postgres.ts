import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A PostgreSQL server of the test's own, on a free port of the loopback interface. */
export interface TestPostgres {
  /** A new, empty database. */
  newDatabase(): string;
  /** Runs SQL in a database, as its owner would by hand. */
  psql(url: string, sql: string): string;
  stop(): void;
  start(): void;
  remove(): void;
}

const DEBIAN_HOME = "/usr/lib/postgresql";

/** Where initdb is, or in one line why the tests on PostgreSQL are skipped; under CI=true that is an error. */
export function postgresPrograms(): string | undefined {
  const versions = existsSync(DEBIAN_HOME) ? readdirSync(DEBIAN_HOME).sort((a, b) => Number(b) - Number(a)) : [];
  const programs = versions
    .map((version) => join(DEBIAN_HOME, version, "bin"))
    .find((bin) => existsSync(join(bin, "initdb")));
  if (programs !== undefined) return programs;
  const reason = "PostgreSQL is missing, so nothing runs on it; npm run test:setup installs it";
  if (process.env["CI"] === "true") throw new Error(reason);
  process.stderr.write(`skipped: ${reason}\n`);
  return undefined;
}

export async function startPostgres(programs: string): Promise<TestPostgres> {
  const home = mkdtempSync(join(tmpdir(), "usmp-postgres-"));
  chmodSync(home, 0o700);
  // PostgreSQL does not run as root; Debian's package made this user.
  const asUser = process.getuid?.() === 0 ? ["runuser", "-u", "postgres", "--"] : [];
  if (asUser.length > 0) chownSync(home, idOf("-u"), idOf("-g"));
  const port = await freePort();
  const data = join(home, "data");
  const run = (program: string, ...args: string[]): string => {
    const [file, ...rest] = [...asUser, join(programs, program), ...args];
    return execFileSync(file as string, rest, { cwd: home, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  };
  run("initdb", "-D", data, "-A", "trust", "-U", "usmp", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8");
  const control = (...args: string[]): void => {
    const [file, ...rest] = [...asUser, join(programs, "pg_ctl"), "-D", data, "-w", ...args];
    // Not execFile: the server would inherit its pipes, and they would never end.
    const { status } = spawnSync(file as string, rest, { cwd: home, stdio: "ignore" });
    if (status !== 0) throw new Error(`pg_ctl ${args.at(-1)} ended with ${status}`);
  };
  const start = (): void =>
    control(
      "-l",
      join(home, "log"),
      "-o",
      `-c listen_addresses=127.0.0.1 -p ${port} -k ${home} -c fsync=off -c full_page_writes=off`,
      "start",
    );
  let databases = 0;
  const psql = (url: string, sql: string): string =>
    run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql);
  start();
  return {
    psql,
    start,
    newDatabase() {
      const name = `test${databases++}`;
      psql(`postgres://usmp@127.0.0.1:${port}/postgres`, `create database ${name}`);
      return `postgres://usmp@127.0.0.1:${port}/${name}`;
    },
    stop: () => control("-m", "immediate", "stop"),
    remove() {
      try {
        control("-m", "immediate", "stop");
      } catch {
        // It was stopped already.
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function idOf(flag: "-u" | "-g"): number {
  return Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
