import { readFile } from "node:fs/promises";
import { messageOf } from "../../master/secret-file.ts";
import type { InboundMessage } from "../../messages/messages.ts";
import { messageObject } from "../message-json.ts";
import { type Sink, type SinkContext, SinkError } from "../sink.ts";
import { SinkOptions } from "../sink-options.ts";
import {
  type Answer,
  ForbiddenTargetError,
  guardedPost,
  type Reach,
  type Resolve,
  resolveBySystem,
} from "./guarded-post.ts";
import { readWebhookSecrets, signedHeaders } from "./signature.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const LONGEST_TIMEOUT_MS = 25_000;

/** Statuses of the 4xx that a later try may change: timeout, too early (RFC 8470), too many requests. */
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([408, 425, 429]);

/** What tests replace. */
export interface WebhookSurroundings {
  readonly resolve: Resolve;
  readonly now: () => number;
}

/** Signed POSTs of a batch each: `url`, `secretFile`; hosts that it may reach though they are not public: `allow`; `timeoutMs`, `caFile`. */
export async function openWebhookSink(
  given: Readonly<Record<string, unknown>>,
  context: SinkContext,
  { resolve, now }: WebhookSurroundings = { resolve: resolveBySystem, now: Date.now },
): Promise<Sink> {
  const options = new SinkOptions(given, context, ["url", "secretFile", "allow", "timeoutMs", "caFile"]);
  const url = urlOf(options);
  const secrets = await readWebhookSecrets(options.path("secretFile"));
  const caFile = options.optionalPath("caFile");
  const ca =
    caFile === undefined
      ? undefined
      : await readFile(caFile, "utf8").catch((error: unknown) => options.refuse("caFile", messageOf(error)));
  const reach: Reach = { allowed: options.texts("allow"), ca, resolve };
  const timeoutMs = options.whole("timeoutMs", { least: 1, most: LONGEST_TIMEOUT_MS, otherwise: DEFAULT_TIMEOUT_MS });
  return {
    async deliver(batch, signal) {
      const body = bodyOf(context.name, batch);
      const headers = {
        "content-type": "application/json",
        "user-agent": "usmp-gateway",
        ...signedHeaders(body, secrets, now()),
      };
      const ends = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const answer = await guardedPost(url, headers, body, reach, ends).catch((error: unknown) => {
        throw failureOf(error, ends);
      });
      judge(answer, now());
    },
  };
}

function urlOf(options: SinkOptions): URL {
  const text = options.text("url");
  if (!URL.canParse(text)) return options.refuse("url", `${JSON.stringify(text)} is no URL; write https://HOST/PATH`);
  const url = new URL(text);
  if (url.protocol === "https:" || url.protocol === "http:") return url;
  return options.refuse("url", `${url.protocol} is neither https: nor http:`);
}

/** The same for a batch that comes again, byte by byte: its id is made of it. */
function bodyOf(sink: string, batch: readonly InboundMessage[]): string {
  return JSON.stringify({ type: "messages", sink, messages: batch.map(messageObject) });
}

/** Throws what an answer that is not 2xx means. */
function judge({ status, retryAfter }: Answer, nowMs: number): void {
  if (status >= 200 && status < 300) return;
  if (status >= 300 && status < 400) {
    throw new SinkError(
      `the answer was ${status}: redirects that change the method are not followed; give the last URL`,
      {
        retry: false,
      },
    );
  }
  const retry = status >= 500 || WORTH_ANOTHER_TRY.has(status);
  const retryAfterMs = retryAfterOf(retryAfter, nowMs);
  throw new SinkError(`the answer was ${status}`, { retry, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Seconds, or a date (RFC 9110 section 10.2.3). */
function retryAfterOf(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function failureOf(error: unknown, ends: AbortSignal): SinkError {
  if (error instanceof ForbiddenTargetError) return new SinkError(error.message, { retry: false, cause: error });
  const cause = ends.aborted ? ends.reason : error;
  return new SinkError(messageOf(cause), { retry: true, cause });
}
