import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "@usmp/testkit";
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import type { Actor } from "../../src/records.ts";
import { type OpenedRegistry, openRegistry, type RegistryOptions } from "../../src/registry/open-registry.ts";
import { createWallClock, type WallClock } from "../../src/time/wall-clock.ts";
import { postgresPrograms, startPostgres, type TestPostgres } from "./postgres.ts";

export const ADA: Actor = { who: "uid 1000 (ada)", from: "control socket" };
export const BEGIN: number = Date.UTC(2026, 11, 1);

/** Time that a test moves: the wall's and the monotonic one, together or apart. */
export class TestTime {
  readonly clock: VirtualClock = new VirtualClock();
  wall: number;
  boot = 0;
  synchronizedAt: number | undefined;
  readonly wallClock: WallClock;

  constructor(wall: number = BEGIN) {
    this.wall = wall;
    this.wallClock = createWallClock({
      wall: () => this.wall,
      sinceBoot: () => this.boot,
      synchronizedAt: () => this.synchronizedAt,
    });
  }

  /** Time passes for everything but the housekeeping, which would do a week's work. */
  passWall(milliseconds: number): void {
    this.wall += milliseconds;
    this.boot += milliseconds;
  }

  async pass(milliseconds: number): Promise<void> {
    this.passWall(milliseconds);
    await this.clock.elapse(milliseconds);
  }
}

/** One data directory and its database: opened, closed and opened again. */
export class TestHome {
  readonly directory: string = mkdtempSync(join(tmpdir(), "usmp-gateway-"));
  readonly time: TestTime = new TestTime();
  readonly database: string | undefined;
  readonly postgres: TestPostgres | undefined;
  readonly variables: Record<string, string | undefined> = {};
  #opened: OpenedRegistry | undefined;

  constructor(postgres: TestPostgres | undefined) {
    this.postgres = postgres;
    this.database = postgres?.newDatabase();
  }

  async open(options: Partial<RegistryOptions> = {}): Promise<OpenedRegistry> {
    this.#opened = await openRegistry({
      dataDirectory: this.directory,
      database: this.database,
      master: { kind: "file", path: join(this.directory, "master") },
      surroundings: { variables: this.variables, askPassphrase: undefined },
      clock: this.time.clock,
      wallClock: this.time.wallClock,
      ...options,
    });
    return this.#opened;
  }

  async close(): Promise<void> {
    await this.#opened?.registry.close();
    this.#opened = undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The same tests on SQLite and on PostgreSQL. */
export function onEachDatabase(name: string, tests: (newHome: () => TestHome) => void): void {
  const programs = postgresPrograms();
  for (const kind of ["SQLite", "PostgreSQL"] as const) {
    describe.skipIf(kind === "PostgreSQL" && programs === undefined)(`${name} on ${kind}`, { timeout: 30_000 }, () => {
      const homes: TestHome[] = [];
      let postgres: TestPostgres | undefined;
      beforeAll(async () => {
        if (kind === "PostgreSQL" && programs !== undefined) postgres = await startPostgres(programs);
      }, 60_000);
      afterEach(async () => {
        for (const home of homes.splice(0)) await home.remove();
      }, 30_000);
      afterAll(() => postgres?.remove());
      tests(() => {
        const home = new TestHome(postgres);
        homes.push(home);
        return home;
      });
    });
  }
}
