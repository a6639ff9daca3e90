import { GatewayError, type GatewayErrorCode } from "../errors.ts";

/** An answer that is no success: its status, and what stands in {"error":{"code","message"}}. */
export class HttpProblem extends Error {
  override readonly name = "HttpProblem";
  readonly status: number;
  readonly code: GatewayErrorCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: GatewayErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Of errors that are neither asked for in a wrong way (400) nor of a state that somebody can change (409). */
const STATUS: { readonly [Code in GatewayErrorCode]?: number } = {
  usage: 400,
  unauthorized: 401,
  forbidden: 403,
  "unknown-device": 404,
  "unknown-token": 404,
  "rate-limited": 429,
  control: 500,
  damaged: 500,
  database: 503,
  stale: 503,
};
const CONFLICT = 409;

/** What an error of a method is to a client. What is no GatewayError says nothing of itself: it may hold anything. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof GatewayError) {
    const unknown = error.code.startsWith("unknown-") ? 404 : CONFLICT;
    return new HttpProblem(STATUS[error.code] ?? unknown, error.code, error.message);
  }
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (code === "invalid-key" || code === "weak-key") return new HttpProblem(400, "usage", String(message));
  return new HttpProblem(500, "control", "the gateway failed; its log says why");
}

export function badRequest(message: string, status = 400): HttpProblem {
  return new HttpProblem(status, "usage", message);
}

/** Text of a stranger's, as it may stand in a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text);
}

const LONGEST_QUOTE = 80;
