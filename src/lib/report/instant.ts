import {age} from '../system/time-words.ts'

/** `2026-11-22 09:00:00 UTC (14:00:00 at GMT+5), 12 min ago`: what an operator checks before a recovery is asked for. */
export function shownInstant(at: Date, now: Date, timeZone?: string): string {
  const local = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'shortOffset', ...(timeZone !== undefined && {timeZone})}).formatToParts(at)
  const part = (name: Intl.DateTimeFormatPartTypes) => local.find(({type}) => type === name)?.value ?? ''
  const zone = part('timeZoneName')
  const here = ['GMT', 'GMT+0', 'UTC'].includes(zone) ? '' : ` (${part('hour')}:${part('minute')}:${part('second')} at ${zone})`
  return `${utcSecond(at)}${here}, ${age(at, now)}`
}

/** `2026-11-22 09:00:00 UTC` */
export const utcSecond = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
