/** One figure of all rounds. */
export interface Spread {
  median: number
  min: number
  max: number
}

/** Of at least one value; of an even count the mean of the middle two. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): number => {
    const value = sorted[index]
    if (value === undefined) throw new Error('There is nothing to take a median of.')
    return value
  }
  const half = Math.floor(sorted.length / 2)
  return {median: sorted.length % 2 === 1 ? at(half) : (at(half - 1) + at(half)) / 2, min: at(0), max: at(sorted.length - 1)}
}

/** Shares weights among so many lanes so that the fullest is as light as a simple rule makes it: heaviest first, each to the lightest lane. */
export function shareOut<T>(items: readonly T[], lanes: number, weight: (item: T) => number): T[][] {
  const shares = Array.from({length: lanes}, () => ({items: [] as T[], weight: 0}))
  for (const item of items.toSorted((a, b) => weight(b) - weight(a))) {
    const lightest = shares.reduce((one, other) => (other.weight < one.weight ? other : one))
    lightest.items.push(item)
    lightest.weight += weight(item)
  }
  return shares.map((share) => share.items)
}
