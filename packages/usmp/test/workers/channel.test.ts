import { Duplex } from "node:stream";
import { Secret } from "@usmp/protocol";
import { runSeed, SeededRandom } from "@usmp/testkit";
import { expect, test } from "vitest";
import { Channel, valueOf } from "../../src/workers/channel.ts";
import { decodeKeys, encodeKeys } from "../../src/workers/keys-record.ts";

/** A stream whose writes the test sees, and whose reads it makes. */
class Wire extends Duplex {
  readonly written: Buffer[] = [];
  stalled: (() => void) | undefined;
  stalls = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(chunk));
    if (this.stalls) this.stalled = done;
    else done();
  }
}

function channel(stream: Duplex) {
  const records: { kind: number; body: Buffer }[] = [];
  let closed = 0;
  const made = new Channel(stream, {
    onRecord: (kind, body) => records.push({ kind, body: Buffer.from(body) }),
    onClose: () => closed++,
  });
  return { made, records, closed: () => closed };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("records of one turn leave in one write, and arrive however the stream cuts them", async () => {
  const random = new SeededRandom(runSeed());
  const wire = new Wire();
  const { made } = channel(wire);
  made.send(1, 7, 0xffffffff, Buffer.from("message"));
  made.send(2, 0, 0, new Uint8Array(0));
  made.sendValue(7, { type: "close", nested: [1, undefined, Uint8Array.of(1, 2)] });
  made.send(3, 1, 2, new Uint8Array(100_000).fill(9));
  await nextTurn();
  expect(wire.written.length).toBeLessThanOrEqual(2);
  const bytes = Buffer.concat(wire.written);
  for (let round = 0; round < 10; round++) {
    const other = new Wire();
    const { records } = channel(other);
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + random.int(round === 0 ? 1 : 4_000);
      other.push(Buffer.from(bytes.subarray(at, at + length)));
      at += length;
      if (round > 0) await nextTurn();
    }
    await nextTurn();
    expect(records.map(({ kind, body }) => [kind, body.length])).toEqual([
      [1, 15],
      [2, 8],
      [7, records[2]?.body.length],
      [3, 100_008],
    ]);
    expect(records[0]?.body.readUInt32LE(4)).toBe(0xffffffff);
    expect(records[0]?.body.toString("latin1", 8)).toBe("message");
    expect(valueOf(records[2]?.body as Buffer)).toMatchObject({ type: "close" });
  }
});

test("a record that holds keys leaves by itself in its order, and neither end keeps its bytes", async () => {
  const wire = new Wire();
  const { made } = channel(wire);
  const keys = [
    { secret: new Secret(new Uint8Array(32).fill(0x5a)), label: 3 },
    { secret: new Secret(new Uint8Array(16).fill(0x5b)), label: undefined },
  ];
  made.send(1, 0, 0, Buffer.from("before"));
  const body = encodeKeys(9, keys);
  made.sendSecret(5, body);
  made.send(1, 0, 0, Buffer.from("after"));
  await nextTurn();
  expect(body.every((byte) => byte === 0)).toBe(true);
  expect(wire.written).toHaveLength(3);
  const record = wire.written[1]?.subarray(5) as Buffer;
  const { request, keys: read } = decodeKeys(record);
  expect(record.every((byte) => byte === 0)).toBe(true);
  expect(request).toBe(9);
  expect(read.map(({ secret, label }) => [Buffer.from(secret.expose()).toString("hex"), label])).toEqual([
    ["5a".repeat(32), 3],
    ["5b".repeat(16), undefined],
  ]);
});

test("a chunk that ends within a record is wiped once the rest has come", async () => {
  const wire = new Wire();
  const { made } = channel(wire);
  made.send(5, 0, 0, new Uint8Array(64).fill(0x5a));
  await nextTurn();
  const other = new Wire();
  const { records } = channel(other);
  const bytes = Buffer.concat(wire.written);
  const rest = Buffer.from(bytes.subarray(40));
  other.push(Buffer.from(bytes.subarray(0, 40)));
  await nextTurn();
  other.push(rest);
  await nextTurn();
  expect(records).toHaveLength(1);
  expect(rest.every((byte) => byte === 0)).toBe(true);
});

test("who can wait waits while a megabyte has not left, and no longer than the other end is there", async () => {
  const wire = new Wire();
  wire.stalls = true;
  const { made, closed } = channel(wire);
  for (let i = 0; i < 20; i++) {
    made.send(1, 0, 0, new Uint8Array(60_000));
    await nextTurn();
  }
  expect(made.full).toBe(true);
  let room = false;
  const waiting = made.writable().then(() => {
    room = true;
  });
  await nextTurn();
  expect(room).toBe(false);
  wire.destroy();
  await waiting;
  expect(closed()).toBe(1);
  expect(made.full).toBe(false);
  made.send(1, 0, 0, new Uint8Array(1));
  made.sendValue(7, {});
  made.sendSecret(5, Uint8Array.of(1));
  await made.writable();
});

test("a record that cannot be ends the channel instead of filling memory", async () => {
  for (const length of [0, 0xffffffff]) {
    const wire = new Wire();
    const { records, closed } = channel(wire);
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(length, 0);
    wire.push(bytes);
    await nextTurn();
    await nextTurn();
    expect(records).toEqual([]);
    expect(closed()).toBe(1);
  }
});
