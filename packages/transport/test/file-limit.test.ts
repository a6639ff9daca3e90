import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";

const SOURCE = fileURLToPath(new URL("../src/", import.meta.url));
const SERVER = fileURLToPath(new URL("./fixtures/limited-server.mjs", import.meta.url));
/** Node itself holds about 20 files; the rest is for connections. */
const FILE_LIMIT = 48;

let compiled: string;
const sockets: Socket[] = [];
let server: LimitedServer | undefined;

beforeAll(async () => {
  compiled = await compileTransport();
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await server?.stop();
  await rm(compiled, { recursive: true });
});

test.skipIf(process.platform === "win32")(
  "a listener that runs out of files keeps its open connections and accepts again when files are free",
  async () => {
    server = await LimitedServer.start(compiled);
    const first = await connect(server.port);
    expect(await echo(first, "before")).toBe("before");

    const crowd = await Promise.all(
      Array.from({ length: 2 * FILE_LIMIT }, () => connect((server as LimitedServer).port)),
    );
    const refused = await Promise.all(crowd.map((socket) => wasClosed(socket)));
    expect(refused.filter(Boolean).length, "the limit was reached").toBeGreaterThan(FILE_LIMIT / 2);
    expect(await echo(first, "while full")).toBe("while full");

    for (const socket of crowd) socket.destroy();
    while ((await server.openConnections()) > 1);
    expect(await echo(await connect(server.port), "after")).toBe("after");
    expect(await echo(first, "still")).toBe("still");
  },
);

class LimitedServer {
  readonly port: number;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, port: number) {
    this.#process = process;
    this.#lines = lines;
    this.port = port;
  }

  static async start(compiled: string): Promise<LimitedServer> {
    const command = `ulimit -n ${FILE_LIMIT} && exec "$0" "$@"`;
    const entry = pathToFileURL(join(compiled, "index.js")).href;
    const child = spawn("sh", ["-c", command, process.execPath, SERVER, entry]);
    child.stderr.pipe(process.stderr);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new LimitedServer(child, lines, await numberAfter("port ", lines));
  }

  openConnections(): Promise<number> {
    this.#process.stdin.write("?\n");
    return numberAfter("open ", this.#lines);
  }

  async stop(): Promise<void> {
    this.#process.kill();
    await once(this.#process, "exit");
  }
}

async function numberAfter(word: string, lines: AsyncIterator<string>): Promise<number> {
  const line = (await lines.next()).value as string;
  expect(line).toContain(word);
  return Number(line.slice(word.length));
}

/** A connected socket: the kernel completes connections that the server's process has not accepted. */
async function connect(port: number): Promise<Socket> {
  const socket = createConnection(port, "127.0.0.1");
  socket.on("error", () => {});
  sockets.push(socket);
  await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  return socket;
}

async function echo(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, "data");
  socket.write(text);
  return String((await answer)[0]);
}

/** True when the server closed it, false when it answers. */
function wasClosed(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once("data", () => resolve(false)).once("close", () => resolve(true));
    if (socket.destroyed) resolve(true);
    else socket.write("?");
  });
}

/** The package as JavaScript, since Node 20 runs no TypeScript and tests need no build. */
async function compileTransport(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "usmp-transport-"));
  const compilerOptions: ts.CompilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    rewriteRelativeImportExtensions: true,
  };
  for (const file of await readdir(SOURCE)) {
    const { outputText } = ts.transpileModule(await readFile(join(SOURCE, file), "utf8"), { compilerOptions });
    await writeFile(join(directory, file.replace(/\.ts$/, ".js")), outputText);
  }
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  return directory;
}
