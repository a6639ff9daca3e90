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
  const given = params as Readonly<Record<string, unknown>>;
  const limit = route.paging.limited === true ? { limit: Math.min(size + 1, Number(given["limit"] ?? size + 1)) } : {};
  return { ...given, ...limit, ...(cursor === undefined ? {} : { [route.paging.param]: cursor }) };
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
