import {compareKeys} from './bucket.ts'

export interface PageRequest {
  prefix: string
  delimiter: string
  limit: number
  /** The page begins after this key (or common prefix); with `inside`, after that entry of the key. */
  after?: {key: string; inside?: string}
}

export interface Page<T> {
  entries: T[]
  prefixes: string[]
  truncated: boolean
  /** The last key, or common prefix, of the page. */
  last: string
}

/**
 * One page of a listing. `keys` are in order; `expand` gives a key's entries, and when the page begins inside the key, only those
 * after `inside`. Keys that share the text up to the next delimiter count as one common prefix.
 */
export function pageOf<T>(keys: readonly string[], request: PageRequest, expand: (key: string, inside?: string) => readonly T[]): Page<T> {
  const page: Page<T> = {entries: [], prefixes: [], truncated: false, last: ''}
  if (request.limit === 0) return page
  for (let index = firstIndex(keys, request); index < keys.length && !page.truncated; index++) {
    const key = keys[index] ?? ''
    if (!key.startsWith(request.prefix)) break
    const common = commonPrefix(key, request)
    if (common === undefined) addEntries(page, key, request, expand)
    else if (common !== request.after?.key && common !== page.prefixes.at(-1) && expand(key).length > 0) addPrefix(page, common, request.limit)
  }
  return page
}

function addEntries<T>(page: Page<T>, key: string, {limit, after}: PageRequest, expand: (key: string, inside?: string) => readonly T[]): void {
  for (const entry of expand(key, after?.key === key ? after.inside : undefined)) {
    if (page.entries.length + page.prefixes.length === limit) {
      page.truncated = true
      return
    }
    page.entries.push(entry)
    page.last = key
  }
}

function addPrefix(page: Page<unknown>, common: string, limit: number): void {
  if (page.entries.length + page.prefixes.length === limit) page.truncated = true
  else {
    page.prefixes.push(common)
    page.last = common
  }
}

function commonPrefix(key: string, {prefix, delimiter}: PageRequest): string | undefined {
  if (delimiter === '') return undefined
  const end = key.indexOf(delimiter, prefix.length)
  return end === -1 ? undefined : key.slice(0, end + delimiter.length)
}

/** The first key that has the prefix and lies after the marker (at it, when the page begins inside it). */
function firstIndex(keys: readonly string[], {prefix, after}: PageRequest): number {
  const before = (key: string) => {
    if (compareKeys(key, prefix) < 0) return true
    if (!after) return false
    const order = compareKeys(key, after.key)
    return after.inside === undefined ? order <= 0 : order < 0
  }
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (before(keys[middle] ?? '')) low = middle + 1
    else high = middle
  }
  return low
}
