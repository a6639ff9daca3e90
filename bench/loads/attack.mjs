/** An attacker in a process of its own. Each attack goes on at a rate, as far as the machine gives it, until it is stopped. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createConnection } from "node:net";
import { FrameType, looksLikeUtack } from "@usmp/protocol";
import { answerRequests } from "../child.mjs";
import { madeUpHello, RawClient, randomBytes } from "./raw-client.mjs";

/** @typedef {{ tcp: number, udp: number, psk: string }} Server */

/** Where honest devices are, too: as behind one NAT. */
const SAME_ADDRESS = "127.0.0.1";
const SOURCES = 200;
const WAIT_MS = 1_000;
const TICK_MS = 10;

/** @param {string} host */
async function udpSocket(host) {
  const socket = createSocket("udp4").on("error", () => {});
  socket.bind(0, host);
  await once(socket, "listening");
  return socket;
}

/** Sockets of many addresses: all of 127.0.0.0/8 is this machine. */
function manySources() {
  return Promise.all(Array.from({ length: SOURCES }, (_, i) => udpSocket(`127.${1 + (i >> 8)}.${i & 255}.1`)));
}

/** @param {import("node:dgram").Socket} socket @param {number} type */
function frameOf(socket, type) {
  return new Promise((resolve, reject) => {
    const onMessage = (/** @type {Uint8Array} */ data) => {
      if (looksLikeUtack(data) || data[3] !== type) return;
      settle();
      resolve(data);
    };
    const timer = setTimeout(() => {
      settle();
      reject(new Error("no answer"));
    }, WAIT_MS);
    const settle = () => {
      clearTimeout(timer);
      socket.off("message", onMessage);
    };
    socket.on("message", onMessage);
  });
}

/** @param {Server} server @param {string} host */
async function tcpSocket(server, host) {
  const socket = createConnection({ host: "127.0.0.1", port: server.tcp, localAddress: host, noDelay: true });
  socket.on("error", () => {});
  await Promise.race([once(socket, "connect"), once(socket, "close")]);
  return socket;
}

/** @param {import("node:net").Socket} socket */
async function tcpFrame(socket) {
  const [data] = await Promise.race([once(socket, "data"), once(socket, "close").then(() => [undefined])]);
  return /** @type {Uint8Array | undefined} */ (data);
}

/** @param {Server} server @param {Uint8Array} psk @param {string} host */
async function tcpSession(server, psk, host) {
  const socket = await tcpSocket(server, host);
  const client = new RawClient(psk);
  socket.write(client.hello());
  const challenge = await tcpFrame(socket);
  if (challenge === undefined) return undefined;
  socket.write(client.answer(challenge));
  const sessionOk = await tcpFrame(socket);
  return sessionOk === undefined ? undefined : { socket, seal: client.session(sessionOk) };
}

/** @param {Server} server @param {string} host */
async function udpSession(server, host) {
  const socket = await udpSocket(host);
  const client = new RawClient(Buffer.from(server.psk, "hex"));
  const ask = async (/** @type {Uint8Array} */ frame, /** @type {number} */ type) => {
    const answer = frameOf(socket, type);
    socket.send(frame, server.udp, "127.0.0.1");
    return answer;
  };
  const retry = await ask(client.hello(), FrameType.HELLO_RETRY);
  const hello = client.hello(retry.subarray(12));
  const challenge = await ask(hello, FrameType.CHALLENGE);
  const sessionOk = await ask(client.answer(challenge), FrameType.SESSION_OK);
  return { socket, seal: client.session(sessionOk), hello };
}

/** For how long a TCP attacker's connection may do nothing before the next takes its place. */
function remember(
  /** @type {import("node:net").Socket[]} */ held,
  /** @type {import("node:net").Socket} */ socket,
  most = 6_000,
) {
  held.push(socket);
  if (held.length > most) held.shift()?.destroy();
}

/**
 * Each makes ready, and answers what does one act of its attack.
 * @type {Record<string, (server: Server) => Promise<() => unknown>>}
 */
const ATTACKS = {
  async calm() {
    return () => {};
  },

  async "junk datagrams"(server) {
    const sockets = await manySources();
    let turn = 0;
    return () => sockets[turn++ % SOURCES]?.send(randomBytes(64), server.udp, "127.0.0.1");
  },

  async "HELLOs without cookie, from many sources"(server) {
    const sockets = await manySources();
    let turn = 0;
    return () => sockets[turn++ % SOURCES]?.send(madeUpHello().bare, server.udp, "127.0.0.1");
  },

  async "HELLOs without cookie, from the devices' address"(server) {
    const socket = await udpSocket(SAME_ADDRESS);
    return () => socket.send(madeUpHello().bare, server.udp, "127.0.0.1");
  },

  async "UDP handshakes left half open, at the devices' address"(server) {
    const sockets = await Promise.all(Array.from({ length: SOURCES }, () => udpSocket(SAME_ADDRESS)));
    let turn = 0;
    return async () => {
      const socket = /** @type {import("node:dgram").Socket} */ (sockets[turn++ % SOURCES]);
      const hello = madeUpHello();
      const answer = frameOf(socket, FrameType.HELLO_RETRY);
      socket.send(hello.bare, server.udp, "127.0.0.1");
      socket.send(hello.withCookie((await answer).subarray(12)), server.udp, "127.0.0.1");
    };
  },

  async "a captured HELLO with its cookie, again and again"(server) {
    const { socket, hello } = await udpSession(server, "127.9.9.9");
    return () => socket.send(hello, server.udp, "127.0.0.1");
  },

  async "forged frames of a live session"(server) {
    const { socket, seal } = await udpSession(server, "127.9.9.9");
    const frame = seal(FrameType.DATA, 5, randomBytes(400));
    // The tag is wrong, and it lies before the CRC only in the order of the checks: forge what costs the most.
    const forged = seal(FrameType.DATA, 5, randomBytes(400));
    forged.set(frame.subarray(24, 40), 24);
    const { writeCrc } = await import("@usmp/protocol");
    writeCrc(forged);
    return () => socket.send(forged, server.udp, "127.0.0.1");
  },

  async "PINGs of an authentic peer over UDP"(server) {
    const { socket, seal } = await udpSession(server, "127.9.9.9");
    let seq = 0;
    return () => socket.send(seal(FrameType.PING, seq++), server.udp, "127.0.0.1");
  },

  async "fragments without end of an authentic peer over UDP"(server) {
    const { socket, seal } = await udpSession(server, "127.9.9.9");
    let seq = 0;
    return () => socket.send(seal(FrameType.DATA_FRAG, seq++, randomBytes(452)), server.udp, "127.0.0.1");
  },

  async "silent TCP sockets, from the devices' address"(server) {
    /** @type {import("node:net").Socket[]} */
    const held = [];
    return async () => remember(held, await tcpSocket(server, SAME_ADDRESS));
  },

  async "silent TCP sockets, from many sources"(server) {
    /** @type {import("node:net").Socket[]} */
    const held = [];
    let turn = 0;
    return async () => remember(held, await tcpSocket(server, `127.3.${turn++ % SOURCES}.1`));
  },

  async "TCP handshakes left half open, at the devices' address"(server) {
    /** @type {import("node:net").Socket[]} */
    const held = [];
    return async () => {
      const socket = await tcpSocket(server, SAME_ADDRESS);
      socket.write(madeUpHello().bare);
      remember(held, socket);
    };
  },

  async "wrong keys over TCP, at the devices' address"(server) {
    return async () => {
      const session = await tcpSession(server, randomBytes(32), SAME_ADDRESS);
      session?.socket.destroy();
    };
  },

  async "junk over TCP"(server) {
    return async () => {
      const socket = await tcpSocket(server, SAME_ADDRESS);
      socket.write(randomBytes(64));
      await once(socket, "close");
    };
  },

  async "PINGs of an authentic peer over TCP"(server) {
    const psk = Buffer.from(server.psk, "hex");
    return async () => {
      const session = await tcpSession(server, psk, SAME_ADDRESS);
      if (session === undefined) return;
      for (let seq = 0; seq < 20; seq++) session.socket.write(session.seal(FrameType.PING, seq));
      await once(session.socket, "close");
    };
  },
};

await answerRequests({
  names: () => ({ names: Object.keys(ATTACKS) }),

  async attack({ name, server, perSecond, ms }) {
    const act = await ATTACKS[name]?.(server);
    if (act === undefined) throw new Error(`there is no attack "${name}"`);
    const end = performance.now() + ms;
    const perTick = Math.max(1, Math.round((perSecond * TICK_MS) / 1_000));
    let acts = 0;
    let under = 0;
    while (performance.now() < end) {
      const tick = performance.now() + TICK_MS;
      for (let i = 0; i < perTick && under < 1_000; i++) {
        acts++;
        under++;
        // A failed act is the server's success.
        void Promise.resolve(act()).then(
          () => under--,
          () => under--,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, tick - performance.now())));
    }
    return { perSecond: name === "calm" ? 0 : Math.round((acts * 1_000) / ms) };
  },
});
