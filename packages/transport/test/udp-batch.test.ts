import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { loadNative } from "@usmp/native";
import { describe, expect, it, onTestFinished } from "vitest";
import { addressBytes, type DatagramSender, descriptorOf, UdpBatch } from "../src/udp-batch.ts";
import { bindUdp } from "../src/udp.ts";

describe("an address in its bytes", () => {
  it.each([
    ["127.0.0.1", "00000000000000000000ffff7f000001"],
    ["255.255.255.255", "00000000000000000000ffffffffffff"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["::ffff:10.1.2.3", "00000000000000000000ffff0a010203"],
    ["2001:db8::a:0:1", "20010db80000000000000000000a0000".slice(0, 20) + "000a00000001"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
  ])("%s", (host, hex) => {
    expect(Buffer.from(addressBytes(host) ?? []).toString("hex")).toBe(hex);
  });

  it.each([
    "fe80::1%lo",
    "example.org",
    "",
    "1.2.3",
    "1.2.3.256",
    "1:2:3:4:5:6:7",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "::g",
    "1:2:3:4:5:6:7:8::",
  ])("%j has none", (host) => expect(addressBytes(host)).toBeUndefined());
});

describe("a batch", () => {
  it("goes to the sender once, at the end of the turn, and what it did not take goes its own way", async () => {
    const calls: { count: number; lengths: number[]; ports: number[]; bytes: string }[] = [];
    const later: string[] = [];
    const sender: DatagramSender = {
      sendDatagrams(fd, ipv6, bytes, table, count) {
        expect([fd, ipv6]).toEqual([7, true]);
        const view = new DataView(table.buffer);
        const lengths = Array.from({ length: count }, (_, i) => view.getUint16(20 * i, true));
        const ports = Array.from({ length: count }, (_, i) => view.getUint16(20 * i + 2, true));
        const total = lengths.reduce((sum, length) => sum + length, 0);
        calls.push({ count, lengths, ports, bytes: Buffer.from(bytes.subarray(0, total)).toString() });
        return 2;
      },
    };
    const batch = new UdpBatch(sender, 7, true, (data, to) => later.push(`${Buffer.from(data)} to ${to.host}`));
    for (const [text, port] of [
      ["a", 1],
      ["bcd", 65_535],
      ["", 3],
      ["efgh", 4],
    ] as const) {
      expect(batch.add(Buffer.from(text), { host: "10.0.0.9", port })).toBe(true);
    }
    expect(batch.add(Buffer.from("x"), { host: "fe80::1%lo", port: 5 })).toBe(false);
    expect(batch.add(new Uint8Array(40_000), { host: "10.0.0.9", port: 5 })).toBe(false);
    expect(calls).toEqual([]);
    await nextTurn();
    expect(calls).toEqual([{ count: 4, lengths: [1, 3, 0, 4], ports: [1, 65_535, 3, 4], bytes: "abcdefgh" }]);
    expect(later).toEqual([" to 10.0.0.9", "efgh to 10.0.0.9"]);
    await nextTurn();
    expect(calls).toHaveLength(1);
  });

  it("that is full, of datagrams or of bytes, goes before the next is taken", () => {
    const counts: number[] = [];
    const sender = { sendDatagrams: (...given: unknown[]) => counts.push(given[4] as number) && (given[4] as number) };
    const batch = new UdpBatch(sender, 7, false, () => expect.fail("nothing was left over"));
    for (let i = 0; i < 65; i++) batch.add(new Uint8Array(8), { host: "10.0.0.9", port: 1 });
    expect(counts).toEqual([64]);
    batch.flush();
    for (let i = 0; i < 3; i++) batch.add(new Uint8Array(16_000), { host: "10.0.0.9", port: 1 });
    expect(counts).toEqual([64, 1, 2]);
  });

  it("goes Node's way as a whole when the sender throws, and nowhere when it was discarded", async () => {
    const later: Uint8Array[] = [];
    const sender = {
      sendDatagrams: () => {
        throw new Error("EBADF");
      },
    };
    const batch = new UdpBatch(sender, 7, false, (data) => later.push(data));
    batch.add(Buffer.from("a"), { host: "10.0.0.9", port: 1 });
    batch.flush();
    expect(later).toEqual([Uint8Array.of(97)]);
    batch.add(Buffer.from("b"), { host: "10.0.0.9", port: 1 });
    batch.discard();
    await nextTurn();
    expect(later).toHaveLength(1);
  });
});

const native = loadNative();
const sockets = "crypto" in native ? native.sockets : undefined;
if (sockets === undefined) {
  const reason = "crypto" in native ? "this system has no sendmmsg" : native.reason;
  if (process.env["CI"] === "true") throw new Error(`CI must test batches of datagrams: ${reason}`);
  console.warn(`skipped: ${reason}`);
}

describe.skipIf(sockets === undefined)("on real sockets", () => {
  it.each([
    ["127.0.0.1", "udp4", "127.0.0.1"],
    ["", "udp4", "127.0.0.1"],
    ["::1", "udp6", "::1"],
  ] as const)(
    "bound to %j, 120 datagrams of all lengths arrive as they were, and so does what closing found waiting",
    async (host, type, to) => {
      const receiver = createSocket(type);
      onTestFinished(() => void receiver.close());
      receiver.bind(0, to);
      await once(receiver, "listening");
      const got: Buffer[] = [];
      receiver.on("message", (data) => got.push(data));
      const transport = await bindUdp({ host, port: 0, sender: sockets });
      const sent = Array.from({ length: 120 }, (_, index) => Buffer.alloc((index * 11) % 493, index));
      for (const data of sent.slice(0, 70)) transport.send(data, { host: to, port: receiver.address().port });
      await nextTurn();
      for (const data of sent.slice(70)) transport.send(data, { host: to, port: receiver.address().port });
      transport.close();
      transport.send(Buffer.from("after the end"), { host: to, port: receiver.address().port });
      await expect.poll(() => got.length).toBe(sent.length);
      expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
    },
  );

  it("a datagram that the system refuses is lost alone", async () => {
    const receiver = createSocket("udp4");
    onTestFinished(() => void receiver.close());
    receiver.bind(0, "127.0.0.1");
    await once(receiver, "listening");
    const got: string[] = [];
    receiver.on("message", (data) => got.push(String(data)));
    const transport = await bindUdp({ host: "127.0.0.1", port: 0, sender: sockets });
    onTestFinished(() => transport.close());
    const { port } = receiver.address();
    transport.send(Buffer.from("one"), { host: "127.0.0.1", port });
    transport.send(Buffer.from("to a broadcast address, without leave"), { host: "255.255.255.255", port });
    transport.send(Buffer.from("two"), { host: "127.0.0.1", port });
    await expect.poll(() => got).toEqual(["one", "two"]);
  });

  it("the descriptor is found, and none of a closed socket", async () => {
    const socket: Socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    expect(descriptorOf(socket)).toBeGreaterThan(2);
    socket.close();
    expect(descriptorOf(socket)).toBeUndefined();
    expect(descriptorOf({} as Socket)).toBeUndefined();
  });
});

/** setImmediate callbacks run in the order in which they were asked for: ours after the batch's. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
