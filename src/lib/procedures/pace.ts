/** Rate and time left, smoothed over the last seconds, so that neither jumps about. */
export class Pace {
  readonly #windowMs: number
  readonly #samples: {at: number; done: number}[] = []

  constructor(windowMs = 10_000) {
    this.#windowMs = windowMs
  }

  at(done: number, total: number, now = performance.now()): {rate?: number; secondsLeft?: number} {
    this.#samples.push({at: now, done})
    while (this.#samples.length > 2 && now - (this.#samples[0]?.at ?? now) > this.#windowMs) this.#samples.shift()
    const [first] = this.#samples
    if (first === undefined || now - first.at < 500 || done <= first.done) return {}
    const rate = ((done - first.done) / (now - first.at)) * 1000
    return {rate, secondsLeft: Math.max(0, (total - done) / rate)}
  }
}
