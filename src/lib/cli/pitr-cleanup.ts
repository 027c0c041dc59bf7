import type {CleanupOptions, CleanupState} from '../procedures/pitr/cleanup.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {openRds} from './rds.ts'

export interface ComposedCleanup {
  procedure: Procedure<CleanupState>
  state: CleanupState
  close: () => void
}

/** What there is at AWS is looked at now: a plan lists what would be deleted. */
export async function composeCleanup(context: Context, named: readonly string[], flags: {replaced: boolean; unprotect: boolean}): Promise<ComposedCleanup> {
  const [{cleanupProcedure, cleanupState}, {parseTarget}] = await Promise.all([import('../procedures/pitr/cleanup.ts'), import('../postgres/target.ts')])
  const {config, api, close} = await openRds(context)
  try {
    const target = config.database.url === undefined ? undefined : parseTarget(config.database.url)
    const options: CleanupOptions = {
      config, api, ...flags, named: named.map((name) => name.toLowerCase()), live: config.rds.instance?.toLowerCase(), address: target && `${target.host.toLowerCase()}:${target.port}`, retentionDays: config.retention.days, now: new Date(),
    }
    return {procedure: cleanupProcedure(options), state: cleanupState(options, await api.instances(await context.signal())), close}
  } catch (error) {
    close()
    throw error
  }
}

export function cleanupReport({instances, removed, failed}: CleanupState): string[] {
  if (instances.length === 0) return ['There is no copy that dr has made.']
  return instances.map(({instance, stays, finalSnapshot}) => (removed.includes(instance) ? `${instance} is deleted${finalSnapshot === null ? '' : `; its last state is in the snapshot ${finalSnapshot}`}.` : `${instance} stays: ${failed.find((one) => one.instance === instance)?.why ?? stays ?? ''}`))
}
