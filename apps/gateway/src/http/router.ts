import type { ControlMethod } from "../control/methods.ts";
import { badRequest } from "./problem.ts";
import { type ParamKinds, paramKinds } from "./request-params.ts";
import type { Route } from "./routes/route.ts";
import { isRoute, ROUTES } from "./routes.ts";

export interface Found {
  readonly method: ControlMethod;
  readonly route: Route;
  readonly kinds: ParamKinds;
  /** Path parameters. */
  readonly path: Readonly<Record<string, string>>;
}

interface Place {
  readonly method: ControlMethod;
  readonly route: Route;
  readonly kinds: ParamKinds;
  readonly segments: readonly string[];
}

/** Finds routes by verb and path. Paths are taken as they are: "..", "//" and the like are segments that no route has. */
export class Router {
  readonly #places: readonly Place[];

  constructor() {
    const routes = Object.entries(ROUTES) as [ControlMethod, (typeof ROUTES)[ControlMethod]][];
    this.#places = routes.flatMap(([method, entry]) => {
      const route = entry as Route;
      return isRoute(route) ? [{ method, route, kinds: paramKinds(route), segments: route.path.split("/") }] : [];
    });
  }

  /** The route; or the verbs that the path has; none of either: there is no such path. */
  find(verb: string, path: string): Found | { readonly allowed: readonly string[] } {
    const segments = path.split("/");
    const matching = this.#places.filter((place) => matches(place.segments, segments));
    const place = matching.find(({ route }) => route.verb === verb);
    if (place === undefined) return { allowed: matching.map(({ route }) => route.verb) };
    const { method, route, kinds } = place;
    const named = place.segments.flatMap((segment, index) =>
      isParameter(segment) ? [[segment.slice(1, -1), decode(segments[index] ?? "")] as const] : [],
    );
    return { method, route, kinds, path: Object.fromEntries(named) };
  }
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every((segment, index) => (isParameter(segment) ? segments[index] !== "" : segment === segments[index]))
  );
}

function isParameter(segment: string): boolean {
  return segment.startsWith("{");
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("the path is not properly percent-encoded");
  }
}
