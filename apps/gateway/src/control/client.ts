import type { ControlMethod, ControlMethods } from "./methods.ts";

type ResultOf<M extends ControlMethod> = ControlMethods[M] extends { result: infer R } ? R : never;
type ItemOf<M extends ControlMethod> = ControlMethods[M] extends { item: infer I } ? I : never;

/** The command line's end of the control socket. Errors of the gateway arrive as GatewayError with their code. */
export interface ControlClient {
  call<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): Promise<ResultOf<M>>;
  stream<M extends ControlMethod>(method: M, params: ControlMethods[M]["params"]): AsyncIterable<ItemOf<M>>;
  close(): void;
}
