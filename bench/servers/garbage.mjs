/** Collects what can be collected: a wrapper's finaliser frees more, which only the next collection sees. */
export async function collectGarbage() {
  for (let i = 0; i < 6; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
