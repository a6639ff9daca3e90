import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type IncomingMessage, type RequestOptions, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { rootCertificates } from "node:tls";
import { GatewayError, type GatewayErrorCode } from "../errors.ts";
import type { Route } from "../http/routes/route.ts";
import { readSecretFile } from "../master/secret-file.ts";
import type { ControlClient } from "./client.ts";
import type { ControlMethod, ControlMethods } from "./methods.ts";

export interface RemoteOptions {
  /** "https://gateway.example:9443", "http://localhost:9080". */
  readonly url: string;
  /** Of mode 0600, with a token in it. */
  readonly tokenFile: string;
  /** PEM certificates that are trusted beside the usual ones. */
  readonly caFile?: string | undefined;
  /** Lets the token cross a network in the clear. */
  readonly insecure?: boolean | undefined;
}

type ResultOf<M extends ControlMethod> = ControlMethods[M] extends { result: infer R } ? R : never;
type ItemOf<M extends ControlMethod> = ControlMethods[M] extends { item: infer I } ? I : never;

/** How long the gateway may take to begin its answer, and how often a request waits when it is told that there were too many. */
const ANSWER_MS = 60_000;
const MOST_WAITS = 30;
/** Bytes of an error's answer. */
const LONGEST_ERROR = 65_536;
/** Bytes of one line of a stream, and of an answer, which is one line: what claims to be the gateway must not fill this host's memory. */
const LONGEST_LINE = 1_048_576;

/**
 * The same client over HTTP: the command line works on a gateway elsewhere. Throws GatewayError "usage" for what must not be sent there,
 * "remote" when there is no gateway, "unauthorized" when the token is none.
 */
export async function connectRemote(options: RemoteOptions): Promise<ControlClient> {
  const base = baseOf(options);
  const token = await readToken(options.tokenFile);
  const { ROUTES, isRoute } = await import("../http/routes.ts");
  const ca = options.caFile === undefined ? undefined : [...rootCertificates, readCertificates(options.caFile)];
  const client = new RemoteClient({
    base,
    token,
    ca,
    route: (method) => {
      const route = ROUTES[method] as Route | { hostOnly: string };
      if (isRoute(route)) return route;
      throw new GatewayError("usage", `this works on the gateway's own host alone: ${route.hostOnly}`);
    },
  });
  await client.greet();
  return client;
}

interface RemoteParts {
  readonly base: URL;
  readonly token: string;
  readonly ca: readonly string[] | undefined;
  readonly route: (method: ControlMethod) => Route;
}

class RemoteClient implements ControlClient {
  readonly #parts: RemoteParts;
  readonly #stop: AbortController = new AbortController();
  dev = false;
  version = "";

  constructor(parts: RemoteParts) {
    this.#parts = parts;
  }

  /** Every role may ask for this: it proves the token and the gateway. */
  async greet(): Promise<void> {
    const { dev, version } = await this.call("gateway.status", {});
    this.dev = dev;
    this.version = version;
  }

  async call<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): Promise<ResultOf<M>> {
    const response = await this.#ask(method, params, "application/json");
    return parse(await textOf(response)) as ResultOf<M>;
  }

  async *stream<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): AsyncGenerator<ItemOf<M>> {
    const response = await this.#ask(method, params, "application/x-ndjson");
    try {
      for await (const line of linesOf(response)) {
        const { item, end, error } = parse(line) as { item?: ItemOf<M>; end?: true; error?: GatewayProblem };
        if (error !== undefined) throw errorOf(error);
        if (end) return;
        yield item as ItemOf<M>;
      }
    } catch (error) {
      throw error instanceof GatewayError ? error : cut(error);
    } finally {
      response.destroy();
    }
    throw cut(undefined);
  }

  close(): void {
    this.#stop.abort();
  }

  async #ask(method: ControlMethod, params: object, accept: string): Promise<IncomingMessage> {
    const { verb, path, query, body } = splitParams(this.#parts.route(method), params);
    for (let waits = 0; ; waits++) {
      const response = await this.#send(verb, path + query, accept, body);
      if (response.statusCode === 200) return response;
      const error = await problemOf(response);
      if (response.statusCode !== 429 || waits === MOST_WAITS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000 * Number(response.headers["retry-after"] ?? 1)));
    }
  }

  async #send(verb: string, path: string, accept: string, body: string | undefined): Promise<IncomingMessage> {
    const { base, token, ca } = this.#parts;
    const headers = {
      authorization: `Bearer ${token}`,
      accept,
      ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
    };
    const options: RequestOptions = { method: verb, headers, signal: this.#stop.signal };
    const url = new URL(base.pathname.replace(/\/$/, "") + path, base);
    const send = url.protocol === "https:" ? requestTls : requestPlain;
    const request = send(url, { ...options, ...(ca === undefined ? {} : { ca: [...ca] }) });
    request.setTimeout(ANSWER_MS, () => request.destroy(new Error("no answer in time")));
    request.end(body);
    try {
      const [response] = (await once(request, "response")) as [IncomingMessage];
      request.setTimeout(0);
      response.on("error", () => {});
      return response;
    } catch (error) {
      throw unreachable(base, error);
    }
  }
}

interface GatewayProblem {
  readonly code: GatewayErrorCode;
  readonly message: string;
}

/** Parameters to where the route wants them. Throws GatewayError "usage" for one that only the gateway's host can give. */
function splitParams(
  { verb, path, params: schema }: Route,
  params: object,
): { readonly verb: string; readonly path: string; readonly query: string; readonly body: string | undefined } {
  const checked = schema.safeParse(params);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const [field] = issue?.code === "unrecognized_keys" ? issue.keys : [issue?.path.map(String).join(".")];
    const why = issue?.code === "unrecognized_keys" ? "works on the gateway's own host alone" : issue?.message;
    throw new GatewayError("usage", `${field}: ${why}`);
  }
  const rest: Record<string, unknown> = { ...params };
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(rest[name]);
    delete rest[name];
    return encodeURIComponent(value).replaceAll("%3A", ":");
  });
  if (verb !== "GET") {
    return { verb, path: filled, query: "", body: Object.keys(rest).length === 0 ? undefined : JSON.stringify(rest) };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined) query.append(name, String(each));
  }
  return { verb, path: filled, query: query.size === 0 ? "" : `?${query}`, body: undefined };
}

function baseOf({ url, insecure = false }: RemoteOptions): URL {
  let base: URL;
  try {
    base = new URL(url);
  } catch {
    throw new GatewayError("usage", `--url ${JSON.stringify(url)}: write https://HOST:PORT`);
  }
  if (!["https:", "http:"].includes(base.protocol) || base.username !== "" || base.search !== "" || base.hash !== "") {
    throw new GatewayError(
      "usage",
      `--url ${JSON.stringify(base.origin)}: write https://HOST:PORT, nothing behind it; the token is in its file`,
    );
  }
  const host = base.hostname.replace(/^\[|\]$/g, "");
  const loopback = host === "localhost" || host === "::1" || /^127(\.\d+){3}$/.test(host);
  if (base.protocol === "https:" || loopback || insecure) return base;
  throw new GatewayError(
    "usage",
    `--url ${base.origin}: the token would cross the network in the clear; write https://, or --insecure when something else encrypts`,
  );
}

async function readToken(path: string): Promise<string> {
  const bytes = await readSecretFile(path, "the token file").catch((error: unknown) => {
    if (!(error instanceof GatewayError) || error.code !== "master-exposed") throw error;
    throw new GatewayError(
      "usage",
      `the token file ${path} can be read or changed by others; run "chmod 600 ${path}", and if somebody may have read it, revoke the token`,
    );
  });
  if (bytes === undefined) {
    throw new GatewayError(
      "usage",
      `--token-file ${path}: there is no such file; "usmp token add NAME --save-token FILE" makes one`,
    );
  }
  const text = Buffer.from(bytes).toString("utf8").trim();
  bytes.fill(0);
  if (/^usmp_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/.test(text)) return text;
  throw new GatewayError("usage", `--token-file ${path}: what is in it is no token; it begins with usmp_`);
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new GatewayError("usage", `--ca-file ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  try {
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of response as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > LONGEST_LINE) throw tooLong();
      pieces.push(piece);
    }
    return Buffer.concat(pieces).toString("utf8");
  } catch (error) {
    throw error instanceof GatewayError ? error : cut(error);
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    // Empty ones say that the gateway is still there.
    for (const line of lines) if (line !== "") yield line;
    if (rest.length > LONGEST_LINE) throw tooLong();
  }
}

function tooLong(): GatewayError {
  return new GatewayError(
    "remote",
    `what answered is no gateway of this version: a line of its answer has more than ${LONGEST_LINE} bytes`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new GatewayError("remote", "what answered is no gateway of this version: its answer is not JSON");
  }
}

async function problemOf(response: IncomingMessage): Promise<GatewayError> {
  let text = "";
  response.setEncoding("utf8");
  for await (const piece of response as AsyncIterable<string>) {
    text += piece;
    if (text.length > LONGEST_ERROR) break;
  }
  try {
    const { error } = JSON.parse(text) as { error: GatewayProblem };
    if (typeof error.code === "string" && typeof error.message === "string") return errorOf(error);
  } catch {
    // Told below.
  }
  return new GatewayError("remote", `what answered is no gateway: HTTP status ${response.statusCode}`);
}

function errorOf({ code, message }: GatewayProblem): GatewayError {
  return new GatewayError(code, message);
}

function unreachable({ origin }: URL, error: unknown): GatewayError {
  const { code = "" } = error as NodeJS.ErrnoException;
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code);
  const fix = certificate
    ? "; give the certificate that signed the gateway's with --ca-file FILE"
    : "; is it there, and its --http address reachable from here?";
  return new GatewayError("remote", `the gateway at ${origin} cannot be reached: ${messageOf(error) || code}${fix}`, {
    cause: error,
  });
}

function cut(error: unknown): GatewayError {
  return new GatewayError("remote", "the connection to the gateway ended before its answer did", { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
