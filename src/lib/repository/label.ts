import {randomBytes} from 'node:crypto'
import {usageError} from '../errors.ts'

const FORM = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-([\da-f]{4})$/

export interface Label {
  /** When the backup began, to the second. */
  at: Date
  /** Four hex digits: keeps two backups of one second apart. */
  suffix: string
}

/** `20261122T020000Z-7f3a`: UTC and something random, so that labels sort by time and never meet. */
export function newLabel(now: Date, suffix: string = randomBytes(2).toString('hex')): string {
  return `${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${suffix}`
}

export const isLabel = (text: string): boolean => read(text) !== undefined

export function parseLabel(text: string): Label {
  const label = read(text)
  if (label !== undefined) return label
  throw usageError('label.malformed', `"${text}" is not a label.`, {hints: ['A label looks like 20261122T020000Z-7f3a; dr list shows them.']})
}

function read(text: string): Label | undefined {
  const [, year, month, day, hour, minute, second, suffix = ''] = FORM.exec(text) ?? []
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  // Date takes February 30 for March 2.
  return Number.isNaN(at.getTime()) || newLabel(at, suffix) !== text ? undefined : {at, suffix}
}

/** Labels of one length sort by time as text. */
export const newestFirst = (labels: readonly string[]): string[] => labels.toSorted().toReversed()
