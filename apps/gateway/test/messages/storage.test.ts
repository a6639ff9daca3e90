import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import type { Value } from "../../src/messages/storage.ts";
import { type MessageStorage, openMessageStorage } from "../../src/messages/storage.ts";
import { openMessagesSoon } from "../support/message-storages.ts";
import { onEachDatabase, type TestHome } from "../support/registries.ts";

const TABLE = {
  name: "messages_in",
  columns: {
    id: "integer",
    device: "text",
    session: "text",
    sequence: "integer",
    time: "integer",
    transport: "text",
    bytes: "integer",
    sealed_by: "text",
    data: "blob",
  },
} as const;

const row = (id: number, data: Uint8Array): Value[] => [
  id,
  "02:00:00:00:00:01",
  "00",
  id,
  Date.UTC(2026, 0, 1),
  "udp",
  data.length,
  null,
  data,
];

async function open(home: TestHome): Promise<MessageStorage> {
  const storage = await openMessagesSoon(home);
  onTestFinished(() => storage.close());
  return storage;
}

onEachDatabase("the database of messages", (newHome) => {
  test("keeps what a transaction stored, byte by byte, through close and open", async () => {
    const home = newHome();
    const storage = await open(home);
    const payloads = Array.from({ length: 700 }, (_, i) => Uint8Array.from({ length: i % 50 }, (_, j) => i + j));
    await storage.transaction((change) =>
      change.insertAll(
        TABLE,
        payloads.map((data) => row(change.takeId(), data)),
      ),
    );
    await storage.close();
    const again = await open(home);
    const rows = await again.db.selectFrom("messages_in").selectAll().orderBy("id").execute();
    expect(rows.map(({ id }) => id)).toEqual(payloads.map((_, i) => i + 1));
    expect(rows.map(({ data }) => [...data])).toEqual(payloads.map((data) => [...data]));
    expect(rows[0]).toMatchObject({ time: Date.UTC(2026, 0, 1), transport: "udp", bytes: 0, sealed_by: null });
    expect(await again.transaction(async (change) => change.takeId())).toBe(701);
  });

  test("takes nothing of a transaction that fails, and never gives its ids away again", async () => {
    const storage = await open(newHome());
    const failing = storage.transaction(async (change) => {
      await change.insertAll(TABLE, [row(change.takeId(), new Uint8Array(1))]);
      throw new GatewayError("usage", "enough");
    });
    await expect(failing).rejects.toMatchObject({ code: "usage", message: "enough" });
    const twice = storage.transaction(async (change) => {
      await change.insertAll(TABLE, [row(7, new Uint8Array(1)), row(7, new Uint8Array(1))]);
    });
    await expect(twice).rejects.toMatchObject({ code: "database" });
    expect(await storage.db.selectFrom("messages_in").select("id").execute()).toEqual([]);
    expect(await storage.transaction(async (change) => change.takeId())).toBe(2);
  });

  test("runs one transaction after the other, in the order of their calls", async () => {
    const storage = await open(newHome());
    const order: string[] = [];
    await Promise.all(
      ["a", "b", "c"].map((name) =>
        storage.transaction(async (change) => {
          order.push(`${name} begins`);
          await change.sql.selectFrom("messages_in").select("id").execute();
          order.push(`${name} ends`);
        }),
      ),
    );
    expect(order).toEqual(["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]));
    await storage.check();
  });

  test("belongs to one gateway", async () => {
    const home = newHome();
    await open(home);
    const second = openMessageStorage({ dataDirectory: home.directory, database: home.database });
    await expect(second).rejects.toMatchObject({ code: "already-running" });
  });

  test("of a later version is left alone", async () => {
    const home = newHome();
    const storage = await open(home);
    await storage.transaction(({ sql }) =>
      (sql as never as import("kysely").Kysely<{ messages_migration: { name: string; timestamp: string } }>)
        .insertInto("messages_migration")
        .values({ name: "9999-later", timestamp: "now" })
        .execute(),
    );
    await storage.close();
    await expect(openMessagesSoon(home)).rejects.toMatchObject({ code: "newer-schema" });
  });
});

test("messages.db is its owner's alone, and a damaged one is told", async () => {
  const directory = temporary();
  const storage = await openMessageStorage({ dataDirectory: directory, database: undefined });
  expect(statSync(join(directory, "messages.db")).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, "messages.db-wal")).mode & 0o777).toBe(0o600);
  await storage.close();
  writeFileSync(join(directory, "messages.db"), "not a database ".repeat(1000));
  const opening = openMessageStorage({ dataDirectory: directory, database: undefined });
  await expect(opening).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining("messages.db") });
});

test("a file that is replaced while it is in use takes no more messages", async () => {
  const directory = temporary();
  const storage = await openMessageStorage({ dataDirectory: directory, database: undefined });
  onTestFinished(() => storage.close());
  renameSync(join(directory, "messages.db"), join(directory, "elsewhere"));
  await expect(storage.check()).rejects.toMatchObject({ code: "database" });
  await expect(storage.transaction(async () => {})).rejects.toMatchObject({ code: "database" });
  renameSync(join(directory, "elsewhere"), join(directory, "messages.db"));
  await storage.check();
});

test("an id that nobody reserved is not given away", async () => {
  const directory = temporary();
  const storage = await openMessageStorage({ dataDirectory: directory, database: undefined });
  onTestFinished(() => storage.close());
  const greedy = storage.transaction(async (change) => {
    for (;;) change.takeId();
  });
  await expect(greedy).rejects.toMatchObject({ code: "database", message: expect.stringContaining("no numbers left") });
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "usmp-messages-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
