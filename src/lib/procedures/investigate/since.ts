import {durationMs, durationPattern} from '../../config/duration.ts'
import {usageError} from '../../errors.ts'

const TIME = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s?(Z|UTC|[+-]\d{2}:?\d{2})?)?$/

/** An instant as an operator writes it: `6h` ago, `2026-11-27`, `2026-11-27 02:14`; UTC unless it says otherwise. ISO. */
export function instantOf(text: string, now: Date): string {
  if (durationPattern.test(text)) return new Date(now.getTime() - durationMs(text)).toISOString()
  const [, day, time = '00:00', zone = 'Z'] = TIME.exec(text) ?? []
  const instant = new Date(`${day ?? ''}T${time}${zone === 'UTC' ? 'Z' : zone}`)
  if (day === undefined || Number.isNaN(instant.getTime())) throw usageError('usage', `--since is ${JSON.stringify(text)}, but must be a time or a duration.`, {hints: ["--since 6h, or --since '2026-11-27 02:14' (UTC)"]})
  if (instant > now) throw usageError('usage', `--since ${text} is still to come.`, {hints: ['Times are UTC unless they say otherwise: 2026-11-27T07:14+05:00']})
  return instant.toISOString()
}
