import {durationMs} from '../config/duration.ts'
import {usageError} from '../errors.ts'

const RFC_3339 = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/i
const AGO = /^(\d+) ?(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?) ago$/i
const HINTS = ['Write the zone: 2026-11-22T14:00:00+05:00, or 2026-11-22T09:00:00Z.', 'Or a time before now: "10 minutes ago".']

/**
 * Reads an instant: RFC 3339 with its zone, or `10 minutes ago`. One without a zone is refused, because hours lie between what
 * an operator means by it and what AWS does; so is one in the future. Throws `pitr.time` (exit 2).
 */
export function parseInstant(text: string, now: Date): Date {
  const trimmed = text.trim()
  const at = agoOf(trimmed, now) ?? rfc3339Of(trimmed)
  if (at > now) throw usageError('pitr.time', `${text} is in the future.`, {hints: HINTS})
  return at
}

function agoOf(text: string, now: Date): Date | undefined {
  const [, count, unit] = AGO.exec(text) ?? []
  return count === undefined || unit === undefined ? undefined : new Date(now.getTime() - durationMs(`${count}${unit.charAt(0).toLowerCase()}`))
}

function rfc3339Of(text: string): Date {
  const [, day, time, zone] = RFC_3339.exec(text) ?? []
  if (day === undefined || time === undefined) throw usageError('pitr.time', `${text} is no time.`, {hints: HINTS})
  if (zone === undefined) throw usageError('pitr.time', `${text} has no zone.`, {hints: HINTS})
  const at = new Date(`${day}T${time}${zone.toUpperCase().replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')}`)
  // JavaScript takes the 31st of February for the 3rd of March.
  if (Number.isNaN(at.getTime()) || Number.isNaN(Date.parse(`${day}T00:00Z`)) || new Date(`${day}T00:00Z`).toISOString().slice(0, 10) !== day) throw usageError('pitr.time', `${text} is no time.`, {hints: HINTS})
  return at
}
