import {age, duration} from '../system/time-words.ts'

export {age, duration}

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `1.2 GB`: decimal units, three figures at most. */
export function bytes(value: number): string {
  let size = value
  let unit = 0
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000
    unit += 1
  }
  const figures = unit === 0 || size >= 99.95 ? size.toFixed(0) : size.toFixed(1)
  return `${figures} ${units[unit] ?? ''}`
}

const plainNumber = new Intl.NumberFormat('en-US')

/** `1,234,567` */
export const number = (value: number): string => plainNumber.format(value)

/** `1 table`, `31 tables`, `2,000 rows`; the plural of an irregular word as the third argument. */
export const count = (value: number, one: string, many = `${one}s`): string => `${number(value)} ${value === 1 ? one : many}`

/** Whole per cent, never 100 before the end. */
export function percent(done: number, total: number): string {
  if (total <= 0) return '100 %'
  return `${done >= total ? 100 : Math.min(99, Math.floor((done / total) * 100))} %`
}
