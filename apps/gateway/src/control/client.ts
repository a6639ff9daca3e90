import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { userInfo } from "node:os";
import { GatewayError, type GatewayErrorCode } from "../errors.ts";
import { readLines, writeLine } from "./json-lines.ts";
import type { ControlMethod, ControlMethods } from "./methods.ts";
import { controlPaths } from "./socket-path.ts";

type ResultOf<M extends ControlMethod> = ControlMethods[M] extends { result: infer R } ? R : never;
type ItemOf<M extends ControlMethod> = ControlMethods[M] extends { item: infer I } ? I : never;

/** The command line's end of the control socket. Errors of the gateway arrive as GatewayError with their code. */
export interface ControlClient {
  /** The gateway is in development mode: every screen says so. */
  readonly dev: boolean;
  /** Of the gateway's program. */
  readonly version: string;
  call<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): Promise<ResultOf<M>>;
  stream<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): AsyncIterable<ItemOf<M>>;
  close(): void;
}

/** The client side of a first line, and what the server answers it with. */
export interface Greeting {
  readonly version: string;
  readonly pid: number;
  readonly dev: boolean;
}

/** Connects to the gateway that runs on a data directory. Throws GatewayError "not-running", and "control" when it is not ours. */
export async function connectControl(dataDirectory: string): Promise<ControlClient> {
  const found = await greet(dataDirectory);
  if (found === undefined) {
    throw new GatewayError(
      "not-running",
      `no gateway runs on ${dataDirectory}; start one with "usmp gateway", or give its directory with --data DIR`,
    );
  }
  return found.client;
}

/** Says whether a gateway runs on a data directory, and as which process. */
export async function findRunning(dataDirectory: string): Promise<Greeting | undefined> {
  const found = await greet(dataDirectory);
  found?.client.close();
  return found?.greeting;
}

async function greet(dataDirectory: string): Promise<{ client: LiveClient; greeting: Greeting } | undefined> {
  const { socket: path, token: tokenPath } = controlPaths(dataDirectory);
  const socket = await open(path);
  if (socket === undefined) return undefined;
  const client = new LiveClient(socket);
  try {
    const token = readFileSync(tokenPath, "utf8").trim();
    const greeting = await client.greet({ hello: 1, token, user: userName() });
    return { client, greeting };
  } catch (error) {
    client.close();
    throw error;
  }
}

async function open(path: string): Promise<Socket | undefined> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return socket;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // What an earlier run left behind refuses connections.
    if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") return undefined;
    throw new GatewayError(
      "control",
      `the control socket ${path} cannot be used (${code}); run as the user who runs the gateway`,
      {
        cause: error,
      },
    );
  }
}

interface Pending {
  readonly onAnswer: (answer: Answer) => void;
  readonly onEnd: (error: Error) => void;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly item?: unknown;
  readonly end?: true;
  readonly error?: { readonly code: GatewayErrorCode; readonly message: string };
}

class LiveClient implements ControlClient {
  readonly #socket: Socket;
  readonly #pending: Map<number, Pending> = new Map();
  #next = 1;
  dev = false;
  version = "";
  #ended: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    void this.#read();
  }

  /** The answer to the first line has the id 0. */
  async greet(hello: object): Promise<Greeting> {
    const greeting = (await this.#ask(0, hello)) as Greeting;
    this.dev = greeting.dev;
    this.version = greeting.version;
    return greeting;
  }

  call<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): Promise<ResultOf<M>> {
    const id = this.#next++;
    return this.#ask(id, { id, method, params }) as Promise<ResultOf<M>>;
  }

  async *stream<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): AsyncGenerator<ItemOf<M>> {
    const id = this.#next++;
    const arrived: Answer[] = [];
    let wake: () => void = () => {};
    let failed: Error | undefined;
    this.#pending.set(id, {
      onAnswer: (answer) => {
        arrived.push(answer);
        if (arrived.length >= MANY) this.#socket.pause();
        wake();
      },
      onEnd: (error) => {
        failed = error;
        wake();
      },
    });
    let finished = false;
    try {
      await this.#send({ id, method, params });
      for (;;) {
        const answer = arrived.shift();
        if (answer === undefined) {
          if (failed !== undefined) throw failed;
          this.#socket.resume();
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        finished = answer.item === undefined;
        if (answer.error !== undefined) throw new GatewayError(answer.error.code, answer.error.message);
        if (finished) return;
        yield answer.item as ItemOf<M>;
      }
    } finally {
      this.#pending.delete(id);
      this.#socket.resume();
      if (!finished) await this.#send({ cancel: id }).catch(() => {});
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(id: number, request: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        onAnswer: ({ result, error }) => {
          this.#pending.delete(id);
          if (error === undefined) resolve(result);
          else reject(new GatewayError(error.code, error.message));
        },
        onEnd: reject,
      });
      this.#send(request).catch(reject);
    });
  }

  async #send(value: object): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    await writeLine(this.#socket, value);
  }

  async #read(): Promise<void> {
    let ended: Error = new GatewayError("control", "the gateway ended the connection; its log may say why");
    try {
      for await (const line of readLines(this.#socket)) {
        const answer = line as Answer;
        this.#pending.get(answer.id ?? -1)?.onAnswer(answer);
      }
    } catch (error) {
      if (error instanceof GatewayError) ended = error;
    }
    this.#ended = ended;
    for (const { onEnd } of this.#pending.values()) onEnd(ended);
  }
}

/** Answers of a stream that may wait unread before the gateway is held back. */
const MANY = 1_000;

/** "uid 1000 (ada)", for the audit; what it says is believed, because only the owner and root can read the token. */
function userName(): string {
  const { uid, username } = userInfo();
  return uid === -1 ? username : `uid ${uid} (${username})`;
}
