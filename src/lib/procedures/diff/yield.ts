import {lockedError} from '../../errors.ts'
import {startMonitor} from '../../postgres/monitor.ts'
import type {Target} from '../../postgres/target.ts'

export interface YieldOptions {
  target: Target
  /** Of the sessions that read. */
  applicationName: string
  /** How long another session may wait for one of ours. */
  blockedLimitMs: number
  signal: AbortSignal
}

/** Reads with an eye on who waits for it: looking is never worth the application's time. The sessions are ended at once, in the middle of a statement too. */
export async function givingWay<T>({target, applicationName, blockedLimitMs, signal}: YieldOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const blocked = new AbortController()
  const either = AbortSignal.any([signal, blocked.signal])
  const monitor = await startMonitor(target, {
    applicationName, blockedLimitMs,
    onBlocked: ({application, pid, waitedMs}) => {
      blocked.abort(lockedError('diff.yielded', `${application === '' ? 'Another session' : application} (process ${pid} of the server) waited ${waitedMs} ms for the comparison, which gave way.`, {hints: ['Wait until the migration is over, then run the command again.', 'backup.blockedLimit in dr.config.yaml changes the limit.']}))
    },
  })
  const release = () => { void monitor.endSessions() }
  either.addEventListener('abort', release, {once: true})
  try {
    return await work(either)
  } catch (error) {
    either.throwIfAborted()
    throw error
  } finally {
    either.removeEventListener('abort', release)
    await monitor.stop()
  }
}
