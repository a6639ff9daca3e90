import type { Secret } from "@usmp/protocol";
import type { MasterSecret } from "../master/master-secret.ts";

/**
 * Keys that payloads of stored messages are sealed under: each master's subkey "messages", named by the master's id. Former masters' keys stay,
 * so that a move to another master need not write every message anew.
 */
export class MessageKeys {
  readonly #keys: Map<string, Secret> = new Map();
  #currentId = "";

  get current(): { readonly id: string; readonly key: Secret } {
    return { id: this.#currentId, key: this.#keys.get(this.#currentId) as Secret };
  }

  get(id: string): Secret | undefined {
    return this.#keys.get(id);
  }

  /** From now on messages are sealed under this master's key. */
  moveTo(master: MasterSecret): void {
    this.add(master.id, master.subkey("messages"));
    this.#currentId = master.id;
  }

  /** Takes a former master's key over. */
  add(id: string, key: Secret): void {
    this.#keys.get(id)?.wipe();
    this.#keys.set(id, key);
  }

  all(): Iterable<readonly [string, Secret]> {
    return this.#keys;
  }

  wipe(): void {
    for (const key of this.#keys.values()) key.wipe();
    this.#keys.clear();
  }
}
