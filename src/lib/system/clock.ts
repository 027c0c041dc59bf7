/** Time, as an argument: tests bring their own. */
export interface Clock {
  /** The calendar's time; it may jump. */
  now(): Date
  /** Milliseconds that only grow, for durations. */
  elapsed(): number
}

export const systemClock: Clock = {now: () => new Date(), elapsed: () => performance.now()}

/** `20261122T020000Z`: sorts by time and suits file names. */
export const compactUtc = (date: Date): string => date.toISOString().replaceAll(/[-:]|\.\d+/g, '')
