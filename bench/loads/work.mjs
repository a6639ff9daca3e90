/**
 * Runs `work` `count` times, `concurrency` at once.
 * @param {number} count
 * @param {number} concurrency
 * @param {() => Promise<unknown>} work
 */
export async function repeat(count, concurrency, work) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

/**
 * Opens idle connections and keeps them; answers with them.
 * @template T
 * @param {number} count
 * @param {number} concurrency
 * @param {() => Promise<T>} open
 */
export async function openMany(count, concurrency, open) {
  /** @type {T[]} */
  const opened = [];
  await repeat(count, concurrency, async () => opened.push(await open()));
  return opened;
}
