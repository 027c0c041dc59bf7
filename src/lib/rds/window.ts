import {preflightError, type DrError} from '../errors.ts'

/** The instants that AWS can restore to. ISO, UTC. */
export interface RestoreWindow {
  earliest: string
  latest: string
}

/** AWS uploads the log every five minutes. */
const ARCHIVE_MS = 5 * 60_000
const LAG_MS = 15 * 60_000

/** Words that the caller has for an instant: with its age. */
type Shown = (at: Date) => string

/** Whether AWS can restore to this instant; undefined is the latest one. Throws `pitr.window` (exit 3) with both ends. */
export function assertWithin(to: Date | undefined, {earliest, latest}: RestoreWindow, now: Date, shown: Shown): void {
  if (to === undefined || (to >= new Date(earliest) && to <= new Date(latest))) return
  const ends = `It can be restored from ${shown(new Date(earliest))}, to ${shown(new Date(latest))}`
  if (to < new Date(earliest)) throw outside(`${shown(to)} is before the restore window. ${ends}.`, ['dr list shows the logical backups, which may reach further back.'])
  const ready = new Date(to.getTime() + ARCHIVE_MS)
  const soon = now.getTime() - new Date(latest).getTime() <= LAG_MS
  throw outside(`${shown(to)} is after the restore window. ${ends}.`, [
    soon ? `AWS archives every five minutes: try again at ${clock(ready > now ? ready : new Date(now.getTime() + ARCHIVE_MS))} UTC.` : 'The archive lags: it needs an instance that is available, and free storage (aws rds describe-events).',
    '--latest takes the end of the window.',
  ])
}

const outside = (message: string, hints: string[]): DrError => preflightError('pitr.window', message, {hints})
const clock = (at: Date): string => at.toISOString().slice(11, 16)

/** What is to be said when the archive lags; undefined when it does not. */
export function lagWarning({latest}: RestoreWindow, now: Date, shown: Shown): string | undefined {
  return now.getTime() - new Date(latest).getTime() <= LAG_MS ? undefined : `The archive lags: the latest restorable time is ${shown(new Date(latest))}. It should be five minutes old at most.`
}
