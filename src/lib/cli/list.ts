import type {Config} from '../config/config.ts'
import type {ListedEnvironment} from '../procedures/list.ts'
import type {ForeignPlace} from '../procedures/list-foreign.ts'
import type {Storage} from '../repository/storage/storage.ts'
import type {Context} from './context.ts'
import {configuredStorages, openStorages} from './storages.ts'

export type Where = 'local' | 's3'

/** What --local and --s3 ask for; without them every repository that is configured. */
export const chosenStorages = (flags: {local?: boolean; s3?: boolean}, config: Config): Where[] => {
  const chosen: Where[] = [...(flags.local ? ['local' as const] : []), ...(flags.s3 ? ['s3' as const] : [])]
  return chosen.length > 0 ? chosen : configuredStorages(config)
}

/** To read from: a default folder that is not there yet holds no backups, while a configured one that is missing is an error. */
export async function openToRead(context: Context, which: readonly Where[]): Promise<Storage[]> {
  const [{config, sources}, {LocalStorage}] = await Promise.all([context.loadedConfig(), import('../repository/storage/local.ts')])
  const mustExist = sources['local.directory']?.source !== 'default'
  const opened = which.map(async (kind) => (kind === 'local' ? [new LocalStorage(config.local.directory, {mustExist})] : openStorages(config, [kind])))
  return (await Promise.all(opened)).flat()
}

/** What `dr list` reads for the environment of this context. */
export async function listedEnvironment(context: Context, flags: {local?: boolean; s3?: boolean}): Promise<ListedEnvironment> {
  const config = await context.config()
  const which = chosenStorages(flags, config)
  const storages = await openToRead(context, which)
  return {environment: config.environment, rpoSeconds: config.objectives.rpoSeconds, storages, foreign: await foreignPlaces(config, which, storages)}
}

/** The old scripts' dumps lie in the same bucket, outside of our own prefix. */
async function foreignPlaces(config: Config, which: readonly Where[], storages: readonly Storage[]): Promise<ForeignPlace[]> {
  const local = storages.filter(({kind}) => kind === 'local').map((storage) => ({storage, prefix: ''}))
  if (!which.includes('s3')) return local
  const [bucket] = await openStorages({...config, s3: {...config.s3, prefix: ''}}, ['s3'])
  return bucket === undefined ? local : [...local, {storage: bucket, prefix: config.s3.legacyPrefix}]
}
