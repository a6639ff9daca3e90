import type { Page } from "./request-params.ts";
import type { Route } from "./routes/route.ts";

/** One page of a list. */
export interface ListPage {
  readonly items: readonly unknown[];
  /** What `cursor` is for the next page; null: this was the last. */
  readonly next: number | null;
}

/** What a page asks of the method: lists with keys continue behind the last key. */
export function pagedParams(route: Route, params: unknown, { cursor, size }: Page): unknown {
  if (route.paging === undefined || route.paging === "place") return params;
  const { param, limited = false } = route.paging;
  const given = params as Readonly<Record<string, unknown>>;
  const begun = cursor === undefined ? given : { ...given, [param]: cursor };
  if (!limited) return begun;
  const { limit, since } = given;
  // A limit alone asks for the newest so many: it may be more than a page holds, whose cursor then leads to the others.
  if (limit !== undefined) return begun;
  // Without any of them the pages begin with the oldest; a limit on its own would leave out all but the newest.
  const from = since === undefined ? { [param]: begun[param] ?? 0 } : {};
  return { ...begun, ...from, limit: size + 1 };
}

export async function collectPage(
  items: AsyncIterable<unknown>,
  route: Route,
  { cursor = 0, size }: Page,
): Promise<ListPage> {
  const { paging = "place" } = route;
  let skip = paging === "place" ? cursor : 0;
  const page: unknown[] = [];
  let more = false;
  for await (const item of items) {
    if (skip-- > 0) continue;
    if (page.length === size) {
      more = true;
      break;
    }
    page.push(item);
  }
  if (!more) return { items: page, next: null };
  const next = paging === "place" ? cursor + size : paging.next(page.at(-1) as never);
  return { items: page, next: next ?? null };
}

/** All of what a POST gives, whose items are never given again. */
export async function collectAll(items: AsyncIterable<unknown>): Promise<ListPage> {
  const all: unknown[] = [];
  for await (const item of items) all.push(item);
  return { items: all, next: null };
}
