/** A measured server and its load. A round has a fresh pair, so that no round inherits another's heap or compiled code. */
import { randomBytes } from "node:crypto";
import { Child } from "./child.mjs";

/** @typedef {import("./contenders.mjs").Contender} Contender */

const PSK_LENGTH = 32;

export class Pair {
  /**
   * @param {Contender} contender
   * @param {ReturnType<Contender["startServer"]>} measured
   * @param {Child} clients
   * @param {{ port: number, psk: string, transport: import("./contenders.mjs").Transport }} server
   */
  constructor(contender, measured, clients, server) {
    this.contender = contender;
    this.measured = measured;
    this.clients = clients;
    this.server = server;
  }

  /** @param {Contender} contender */
  static async start(contender) {
    const psk = randomBytes(PSK_LENGTH).toString("hex");
    const { transport } = contender;
    const measured = contender.startServer();
    const clients = new Child(contender.load);
    const { port } = await measured.ask({ do: "serve", psk, transport });
    return new Pair(contender, measured, clients, { port, psk, transport });
  }

  async stop() {
    await this.clients.stop();
    await this.measured.stop();
  }

  /** What this contender gets of so much work. @param {number} count */
  scaled(count) {
    return Math.max(1, Math.ceil(count * this.contender.share));
  }

  /** @param {number} count @param {{ concurrency?: number, echoing?: boolean }} [options] */
  open(count, { concurrency = 8, echoing = true } = {}) {
    return this.clients.ask({ do: "open", server: this.server, count, concurrency, echoing });
  }

  close() {
    return this.clients.ask({ do: "close" });
  }

  /**
   * CPU time that the server spends on some work, its collections included; microseconds.
   * @param {() => Promise<unknown>} work
   */
  async cpuOf(work) {
    await this.measured.ask({ do: "rest" });
    const before = this.measured.cpuMicroseconds;
    await work();
    await this.measured.ask({ do: "rest" });
    return this.measured.cpuMicroseconds - before;
  }

  async collectedBytes() {
    await this.measured.ask({ do: "collect" });
    return this.measured.residentBytes;
  }
}
