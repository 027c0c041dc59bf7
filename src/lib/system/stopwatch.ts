export interface Timing {
  phase: string
  ms: number
}

export interface Stopwatch {
  /** Does the work, and notes how long it took, also when it fails. A phase that is timed again replaces its figure. */
  time<T>(phase: string, work: () => Promise<T>): Promise<T>
}

/** Notes whole milliseconds into a list that others may keep. */
export function stopwatch(into: Timing[]): Stopwatch {
  return {
    async time(phase, work) {
      const from = performance.now()
      try {
        return await work()
      } finally {
        const timing = {phase, ms: Math.round(performance.now() - from)}
        const at = into.findIndex((known) => known.phase === phase)
        into.splice(at === -1 ? into.length : at, at === -1 ? 0 : 1, timing)
      }
    },
  }
}
