import type { IncomingMessage } from "node:http";
import { type Instant, sourceOf } from "@usmp/protocol";
import type { Actor, WallMs } from "../records.ts";
import type { TokenRecord, TokenStore } from "../registry/token-store.ts";
import { RefusalMinutes } from "../why/refusal-minutes.ts";
import { plainAddress } from "./admission.ts";
import { HttpProblem } from "./problem.ts";
import { Rates } from "./rates.ts";

/** Wrong tokens of one source that are answered one by one; further ones are 429 with "retry-after: 1", and only counted. */
const WRONG = { perSecond: 1, burst: 20 };
/** Requests of one source without a token, to what anyone may ask for: probes of a whole cluster behind one address fit in. */
const ANYONE = { perSecond: 20, burst: 100 };
/** Requests of one token. */
const REQUESTS = { perSecond: 100, burst: 300 };
/** Sources and tokens that are remembered. */
const MOST = 4_096;

/**
 * Who asks. A right token is looked at first and never refused for what others tried from its address (a NAT, a proxy): what is limited is the
 * answers to wrong ones. That is enough, for a secret of 256 bits is not found by guessing; the limit keeps noise and cost down.
 */
export class Authentication {
  readonly #tokens: TokenStore;
  readonly #minutes: RefusalMinutes = new RefusalMinutes();
  readonly #wrong: Rates = new Rates(WRONG, MOST);
  readonly #anyone: Rates = new Rates(ANYONE, MOST);
  readonly #requests: Rates = new Rates(REQUESTS, MOST);
  readonly #now: () => Instant;
  readonly #wallNow: () => WallMs;

  constructor(tokens: TokenStore, now: () => Instant, wallNow: () => WallMs) {
    this.#tokens = tokens;
    this.#now = now;
    this.#wallNow = wallNow;
  }

  /** The token of a request. Throws HttpProblem 401 or 429. */
  prove(request: IncomingMessage, text: string | undefined): TokenRecord {
    const proof = text === undefined ? ({ state: "missing" } as const) : this.#tokens.prove(text);
    if (proof.state !== "good") throw this.#refuse(request, proof.state);
    if (this.#requests.take(proof.token.id, this.#now())) return proof.token;
    this.note(request, "api:rate-limited");
    throw tooMany("this token asks more than 100 times a second");
  }

  /** A request that needs no token, and has none. Throws HttpProblem 429. */
  admitAnyone(request: IncomingMessage): void {
    if (this.#anyone.take(sourceOf(addressOf(request)), this.#now())) return;
    this.note(request, "api:rate-limited");
    throw tooMany("too many requests without a token from here");
  }

  /** Counts a refusal for the audit, which gets a row per cause, source and minute. */
  note(request: IncomingMessage, cause: string): void {
    this.#minutes.add(cause, sourceOf(addressOf(request)), this.#wallNow());
  }

  /** Refusals of the minutes that are over. */
  takeMinutes(all = false): ReturnType<RefusalMinutes["take"]> {
    return this.#minutes.take(this.#wallNow(), all);
  }

  giveBack(rows: ReturnType<RefusalMinutes["take"]>): void {
    this.#minutes.giveBack(rows);
  }

  #refuse(request: IncomingMessage, state: "missing" | "unknown" | "expired" | "revoked"): HttpProblem {
    this.note(request, `api:token-${state}`);
    if (!this.#wrong.take(sourceOf(addressOf(request)), this.#now())) return tooMany("too many wrong tokens from here");
    return new HttpProblem(401, "unauthorized", SAYS[state], { "www-authenticate": 'Bearer realm="usmp"' });
  }
}

const SAYS = {
  missing: 'a token is missing: send "Authorization: Bearer TOKEN"; "usmp token add" on the gateway\'s host makes one',
  unknown: 'this is no token of this gateway; "usmp token list" on its host shows those there are',
  expired: 'this token has expired; "usmp token add" makes another',
  revoked: 'this token was revoked; "usmp token add" makes another',
} as const;

function tooMany(message: string): HttpProblem {
  return new HttpProblem(429, "rate-limited", message, { "retry-after": "1" });
}

/** Where a request comes from: the connection's address. What a proxy says of it is not believed: anybody can say it. */
function addressOf(request: IncomingMessage): string {
  return plainAddress(request.socket.remoteAddress);
}

/** For the audit: a token's name never looks like a user of the host. */
export function actorOf({ id, name }: TokenRecord, request: IncomingMessage): Actor {
  return { who: `token ${name} (${id})`, from: `http ${addressOf(request)}` };
}

export function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer +(\S{1,200})$/i.exec(headers.authorization ?? "")?.[1];
}
