/**
 * Wipes keys whose owner forgot to: handles are numbers, and a number that nobody holds any more frees nothing. When this happens is
 * the garbage collector's to say; who wants a key gone calls wipe().
 */
export class Backstop {
  readonly #registry: FinalizationRegistry<number>;

  constructor(wipe: (handle: number) => void) {
    this.#registry = new FinalizationRegistry(wipe);
  }

  watch(owner: WeakKey, handle: number): void {
    this.#registry.register(owner, handle, owner);
  }

  release(owner: WeakKey): void {
    this.#registry.unregister(owner);
  }
}
