import type { z } from "zod";
import type { ControlMethod, ControlMethods, TokenRole } from "../../control/methods.ts";

/** What a value of a control method is once it has been JSON: what was undefined is not there. */
export type OnTheWire<T> = T extends readonly (infer Item)[]
  ? readonly OnTheWire<Item>[]
  : T extends object
    ? { [K in keyof T as undefined extends T[K] ? never : K]: OnTheWire<T[K]> } & {
        [K in keyof T as undefined extends T[K] ? K : never]?: OnTheWire<Exclude<T[K], undefined>>;
      }
    : T;

type ResultOf<M extends ControlMethod> = ControlMethods[M] extends { result: infer R } ? R : never;
type ItemOf<M extends ControlMethod> = ControlMethods[M] extends { item: infer I } ? I : never;

/** How a list is continued: from a place in it, or from a value of its last item. */
export type Paging =
  | "place"
  | {
      readonly param: string;
      readonly next: (item: never) => number | undefined;
      /** The method has a parameter `limit`. */
      readonly limited?: true;
    };

/** How a control method is reached over HTTP. Path parameters are parameters of the method; others are the query's, or the body's. */
export interface Route<M extends ControlMethod = ControlMethod> {
  readonly verb: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly role: TokenRole;
  readonly summary: string;
  readonly params: z.ZodType<ControlMethods[M]["params"]>;
  readonly result?: z.ZodType<OnTheWire<ResultOf<M>>>;
  readonly item?: z.ZodType<OnTheWire<ItemOf<M>>>;
  /** Of a list that a GET gives. */
  readonly paging?: Paging;
  /** The stream goes on until one end has had enough: always, or when the parameter `follow` says so. */
  readonly live?: "always" | "follow";
  /** What a role gets to see of it. Throws HttpProblem 403. */
  readonly narrow?: (params: ControlMethods[M]["params"], role: TokenRole) => ControlMethods[M]["params"];
  /** Items are pieces of one file, which `Accept: application/octet-stream` gives as it is. */
  readonly file?: true;
}

/** A method that stays on the gateway's host, and why. */
export interface HostOnly {
  readonly hostOnly: string;
}

export type ParamsOf<M extends ControlMethod> = ControlMethods[M]["params"];

/** Routes of some methods. */
export type RoutesOf<Some extends ControlMethod> = { readonly [M in Some]: Route<M> | HostOnly };
