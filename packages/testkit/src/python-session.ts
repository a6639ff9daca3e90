import { MessageQueue } from "./message-queue.ts";
import { PythonError, type PythonEvent, type PythonProcess } from "./python-process.ts";

/** Why the SDK's recv() ended: the Python class ("ConnectionClosedError" after a BYE) and its text. */
export interface PythonClose {
  readonly type: string;
  readonly message: string;
}

/** Keys and counters as the SDK holds them. */
export interface PythonSessionState {
  readonly transmitKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly transmitSeq: number;
  readonly receiveSeq: number;
}

/** A session of the Python SDK, at either end. It reads all the time, since the SDK answers PINGs only while it reads. */
export class PythonSession {
  /** "aa:bb:cc:dd:ee:ff". */
  readonly deviceId: string;
  /** 32 hex digits. */
  readonly sessionId: string;
  /** Servers only: where the client is. */
  readonly peer: { readonly host: string; readonly port: number } | undefined;
  /** Resolves when the session has ended; never rejects. */
  readonly closed: Promise<PythonClose>;
  readonly #process: PythonProcess;
  readonly #number: number;
  readonly #messages = new MessageQueue<Uint8Array>();
  readonly #pongs = new MessageQueue<void>();
  #resolveClosed: (close: PythonClose) => void = () => {};

  constructor(process: PythonProcess, event: PythonEvent) {
    this.#process = process;
    this.#number = event["session"] as number;
    this.deviceId = event["deviceId"] as string;
    this.sessionId = event["sessionId"] as string;
    this.peer = event["peer"] as PythonSession["peer"];
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** For the owner of the process: an event that names this session. */
  handleEvent(event: PythonEvent): void {
    if (event.event === "message") this.#messages.push(Buffer.from(event["data"] as string, "hex"));
    if (event.event === "pong") this.#pongs.push();
    if (event.event === "closed") this.#end(event["error"] as PythonClose);
  }

  /** TCP: resolves when the SDK has written it; UDP: when it got its UTACKs. */
  async send(message: Uint8Array | string): Promise<void> {
    await this.#request("send", { data: Buffer.from(message).toString("hex") });
  }

  /** The next message. After the end, what came before it, then the SDK's error. */
  receive(timeoutMs = 10_000): Promise<Uint8Array> {
    return this.#messages.take("message at the Python peer", timeoutMs);
  }

  /** Messages that came and were not received yet. */
  get waiting(): number {
    return this.#messages.length;
  }

  /** Sends PING and waits for its PONG. */
  async ping(timeoutMs = 10_000): Promise<void> {
    await this.#request("ping");
    await this.#pongs.take("PONG at the Python peer", timeoutMs);
  }

  async rekey(): Promise<void> {
    await this.#request("rekey");
  }

  /** Sends BYE and closes. */
  async bye(): Promise<void> {
    await this.#request("bye");
  }

  /** Closes the transport without a BYE. */
  async drop(): Promise<void> {
    await this.#request("drop");
  }

  async state(): Promise<PythonSessionState> {
    const state = await this.#request("state");
    return {
      transmitKey: Buffer.from(state["transmitKey"] as string, "hex"),
      receiveKey: Buffer.from(state["receiveKey"] as string, "hex"),
      transmitSeq: state["transmitSeq"] as number,
      receiveSeq: state["receiveSeq"] as number,
    };
  }

  #request(word: string, parameters: object = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#process.request(word, { session: this.#number, ...parameters });
  }

  #end(close: PythonClose): void {
    const error = new PythonError(close.type, close.message);
    this.#messages.end(error);
    this.#pongs.end(error);
    this.#resolveClosed(close);
  }
}
