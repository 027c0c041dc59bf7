import {preflightError} from '../errors.ts'
import type {LatestSettings} from '../procedures/instance-settings/latest.ts'
import type {SavedSettings} from '../procedures/instance-settings/save.ts'
import type {Context} from './context.ts'
import {chosenStorages, openToRead} from './list.ts'
import {instanceOf, openRds} from './rds.ts'
import {openStorages} from './storages.ts'

export interface SnapshotFlags {
  source?: string | undefined
  local?: boolean
  s3?: boolean
}

/** Saves them where backups are stored, or where the flags say. */
export async function saveSettings(context: Context, flags: SnapshotFlags, drVersion: string): Promise<SavedSettings> {
  const [rds, {saveInstanceSettings}, signal] = await Promise.all([openRds(context), import('../procedures/instance-settings/save.ts'), context.signal()])
  const {config, api} = rds
  const chosen = flags.local || flags.s3 ? chosenStorages(flags, config) : config.backup.destinations
  try {
    const instance = await nameOf(context, flags)
    const storages = await openStorages(config, chosen)
    try {
      return await saveInstanceSettings({api, storages, instance, environment: config.environment, proxy: config.rds.proxy, by: drVersion}, signal)
    } finally {
      for (const storage of storages) await storage.close()
    }
  } finally {
    rds.close()
  }
}

/** `which`: `latest`, or the label of a snapshot. AWS is not asked: the instance may be gone. */
export async function savedSettings(context: Context, flags: SnapshotFlags, which: string): Promise<LatestSettings> {
  const [config, {latestInstanceSettings}, signal, instance] = await Promise.all([context.config(), import('../procedures/instance-settings/latest.ts'), context.signal(), nameOf(context, flags)])
  if (which !== 'latest') await assertLabel(which)
  const storages = await openToRead(context, chosenStorages(flags, config))
  try {
    const found = await latestInstanceSettings(storages, instance, {environment: config.environment, signal, ...(which !== 'latest' && {label: which})})
    if (found) return found
    throw preflightError('instance-settings.none', `No settings of ${instance} were saved for ${config.environment}${which === 'latest' ? '' : ` under ${which}`}.`, {hints: [`dr config snapshot --environment ${config.environment} saves them.`]})
  } finally {
    for (const storage of storages) await storage.close()
  }
}

async function nameOf(context: Context, flags: SnapshotFlags): Promise<string> {
  const [config, {assertName}] = await Promise.all([context.config(), import('../rds/restore-plan.ts')])
  const instance = instanceOf(config, flags.source)
  assertName(instance)
  return instance
}

async function assertLabel(text: string): Promise<void> {
  const {parseLabel} = await import('../repository/label.ts')
  parseLabel(text)
}

export const shownProof = (proof: string): string => (proof === 'reread' ? 'read back and hashed' : 'SHA-256 checked by the store')
