/** Runs `work` on a few items at once and yields the results in the items' order. Stopping early starts no more. */
export async function* mapInOrder<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): AsyncGenerator<R> {
  const running: Promise<R>[] = []
  let next = 0
  const start = () => {
    const item = items[next]
    if (next >= items.length) return
    next += 1
    const result = work(item as T)
    // A failure is told when its turn comes, or never when nobody waits any more.
    result.catch(() => undefined)
    running.push(result)
  }
  while (running.length < atOnce && next < items.length) start()
  for (let first = running.shift(); first !== undefined; first = running.shift()) {
    const result = await first
    start()
    yield result
  }
}
