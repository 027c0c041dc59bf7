import {DrError, preflightError} from '../../errors.ts'
import type {DBInstance, RdsApi} from '../../rds/api.ts'
import {putSettings, type InstanceDocument} from '../../repository/instance-settings.ts'
import {newLabel} from '../../repository/label.ts'
import type {Storage} from '../../repository/storage/storage.ts'

export interface SaveOptions {
  api: Pick<RdsApi, 'instance' | 'parameterGroup' | 'parametersSet' | 'proxyTargets'>
  storages: readonly Storage[]
  instance: string
  environment: string
  /** In front of the database. */
  proxy?: string | undefined
  /** Version of dr. */
  by: string
  now?: Date
}

export interface SavedSettings {
  instance: string
  environment: string
  /** Names this snapshot of the settings at every destination. */
  label: string
  savedAt: string
  saved: {destination: string; location: string; bytes: number; sha256: string; proof: string}[]
  failures: {destination: string; code: string; message: string}[]
  /** What could not be read at AWS, and is not in it. */
  missing: {what: string; why: string}[]
}

/**
 * Saves all that makes an instance what it is beside the backups. What AWS denies of its surroundings is named in `missing`; one
 * destination that fails, in `failures`. Throws when the instance cannot be described, or no destination takes it.
 */
export async function saveInstanceSettings(options: SaveOptions, signal: AbortSignal): Promise<SavedSettings> {
  const {environment, now = new Date()} = options
  const document = await readFromApi(options, now, signal)
  const label = newLabel(now)
  const {instance, savedAt, missing} = document
  const result: SavedSettings = {instance, environment, label, savedAt, saved: [], failures: [], missing}
  let first: DrError | undefined
  for (const storage of options.storages) {
    try {
      const {location, bytes, sha256, proof} = await putSettings(storage, document, label, signal)
      result.saved.push({destination: storage.location, location, bytes, sha256, proof})
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof DrError)) throw error
      first ??= error
      result.failures.push({destination: storage.location, code: error.code, message: error.message})
    }
  }
  if (first && result.saved.length === 0) throw first
  return result
}

async function readFromApi({api, instance, environment, proxy, by}: SaveOptions, now: Date, signal: AbortSignal): Promise<InstanceDocument> {
  const found = await api.instance(instance, signal)
  if (found === undefined) throw preflightError('rds.no-instance', `There is no instance ${instance}.`, {hints: ['Check rds.instance, rds.region and the profile; aws rds describe-db-instances shows those that there are.', `dr config snapshot --source ${instance} --show latest shows what was saved of one that is gone.`]})
  const missing: InstanceDocument['missing'] = []
  const part = async <T>(what: string, read: () => Promise<T>): Promise<T[]> => {
    try {
      return [await read()]
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof DrError)) throw error
      missing.push({what, why: error.message})
      return []
    }
  }
  const parameterGroups: InstanceDocument['parameterGroups'] = []
  for (const name of groupsOf(found)) parameterGroups.push(...(await part(`parameter group ${name}`, () => readGroup(api, name, signal))))
  const [front] = proxy === undefined ? [] : await part(`targets of the proxy ${proxy}`, async () => ({name: proxy, targets: recordsOf(await api.proxyTargets(proxy, signal))}))
  return {
    schemaVersion: 1, kind: 'rds-instance', instance: (found.DBInstanceIdentifier ?? instance).toLowerCase(), environment, savedAt: now.toISOString(), by, missing,
    settings: {...found}, parameterGroups, ...(front && {proxy: front}),
  }
}

const groupsOf = ({DBParameterGroups = []}: DBInstance): string[] => DBParameterGroups.flatMap(({DBParameterGroupName: name}) => name ?? [])

async function readGroup(api: SaveOptions['api'], name: string, signal: AbortSignal): Promise<InstanceDocument['parameterGroups'][number]> {
  const [group, parameters] = [await api.parameterGroup(name, signal), await api.parametersSet(name, signal)]
  const {DBParameterGroupFamily: family, Description: description} = group ?? {}
  return {name, ...(family !== undefined && {family}), ...(description !== undefined && {description}), parameters: recordsOf(parameters)}
}

const recordsOf = (list: readonly object[]): Record<string, unknown>[] => list.map((one) => ({...one}))
