import {DrError, preflightError} from '../../errors.ts'
import {Repository, type BackupEntry} from '../../repository/repository.ts'
import type {Manifest} from '../../repository/manifest.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {found, RECOVER_HINT, type FindOptions, type FoundBackup} from './source.ts'

interface Looked {
  storage: Storage
  /** The newest that nothing speaks against. */
  best: (BackupEntry & {manifest: Manifest}) | undefined
  /** Newer ones that are no good. */
  passedOver: BackupEntry[]
}

/** The newest backup that nothing speaks against, of all storages; on a tie that of the first. */
export async function latestBackup(storages: readonly Storage[], options: FindOptions): Promise<FoundBackup> {
  const notices: string[] = []
  const looked: Looked[] = []
  for (const storage of storages) {
    try {
      looked.push(await look(storage, options))
    } catch (error) {
      if (storages.length === 1 || !mayBeSkipped(error, storage)) throw error
      notices.push(`${storage.location} was not looked at: ${error.message}`)
    }
  }
  const newest = looked.map(({best}) => best?.label ?? '').toSorted().at(-1) ?? ''
  const passedOver = looked.flatMap((one) => one.passedOver).filter(({label}) => label > newest)
  const others = newestFirst(passedOver.filter((entry) => isOfAnother(entry, options)))
  notices.push(...passedOver.filter((entry) => !others.includes(entry)).map((entry) => `Passed over ${entry.label} at ${entry.location}: ${whyNot(entry)}.`), ...aboutOthers(others))
  const chosen = looked.find(({best}) => best?.label === newest)
  if (chosen?.best === undefined) throw noBackup(storages, passedOver, options)
  const {storage, best} = chosen
  return {...found(storage, new Repository(storage, options.config.environment).folder(best.label), best.location, best.manifest, false), notices}
}

async function look(storage: Storage, options: FindOptions): Promise<Looked> {
  const {config, signal} = options
  const passedOver: BackupEntry[] = []
  for await (const entry of new Repository(storage, config.environment).backups({signal}, 2)) {
    const {manifest} = entry
    if (manifest !== undefined && entry.level !== 'suspect' && manifest.purpose !== 'safety' && !isOfAnother(entry, options)) return {storage, best: {...entry, manifest}, passedOver}
    passedOver.push(entry)
  }
  return {storage, best: undefined, passedOver}
}

/** Databases may share a repository and an environment. */
const isOfAnother = ({manifest}: BackupEntry, {database}: FindOptions): boolean => database !== undefined && manifest !== undefined && manifest.source.database !== database

const newestFirst = (entries: readonly BackupEntry[]): BackupEntry[] => entries.toSorted((a, b) => (a.label < b.label ? 1 : -1))

/** There may be one of every night. */
function aboutOthers([first, ...rest]: readonly BackupEntry[]): string[] {
  if (first === undefined) return []
  const all = [first, ...rest]
  const names = [...new Set(all.map(({manifest}) => manifest?.source.database ?? ''))].join(', ')
  return [rest.length === 0 ? `Passed over ${first.label} at ${first.location}: it is of the database ${names}.` : `Passed over ${all.length} newer backups, which are of other databases (${names}); the newest of them is ${first.label}.`]
}

/** In an emergency the storage that still answers must do. */
const mayBeSkipped = (error: unknown, storage: Storage): error is DrError =>
  error instanceof DrError && (error.code === 'storage.unreachable' || error.code === 'storage.denied' || (error.code === 'storage.no-bucket' && storage.kind === 'local'))

function whyNot({error, manifest, evidence}: BackupEntry): string {
  if (error) return error.message.replace(/\.$/, '')
  if (manifest?.purpose === 'safety') return 'it was made by a restore, of the state that was about to be replaced'
  const reasons = manifest?.suspicions ?? []
  if (reasons.length > 0) return `it is suspect: ${reasons.join('; ')}`
  const failed = evidence.findLast(({ok}) => !ok)
  return failed === undefined ? 'it is suspect' : `it is suspect: a check of ${failed.at} failed`
}

function noBackup(storages: readonly Storage[], passedOver: readonly BackupEntry[], options: FindOptions): DrError {
  const {config, database} = options
  const where = storages.map(({location}) => location).join(' and ')
  const own = passedOver.filter((entry) => !isOfAnother(entry, options))
  const [other] = newestFirst(passedOver)
  if (own.length === 0 && other !== undefined) return ofOthers(where, other, options)
  const [first] = own
  if (first === undefined) return preflightError('restore.no-backup', `There is no backup of ${config.environment} in ${where}.`, {hints: ['Make one: dr backup', 'dr list shows the backups; --environment names another environment.']})
  const takable = own.find(({manifest}) => manifest !== undefined)
  return preflightError('restore.no-good-backup', `There is no backup of ${config.environment} in ${where} that nothing speaks against; the newest is ${first.label}: ${whyNot(first)}.`, {
    hints: [...(takable ? [`To take ${takable === first ? 'it' : takable.label} all the same, name it: ${database === undefined ? 'dr restore' : '--from'} ${takable.label}`] : []), ...(first.manifest === undefined ? [`${first.location}: ${RECOVER_HINT}`] : [])],
  })
}

function ofOthers(where: string, newest: BackupEntry, {config, database = ''}: FindOptions): DrError {
  const {label, manifest} = newest
  return preflightError('restore.other-database', `There is no backup of the database ${database} (${config.environment}) in ${where}; the newest is ${label}, of the database ${manifest?.source.database ?? ''}.`, {
    hints: [`If the data is the same under another name, name the backup: --from ${label}`, 'dr list shows the backups; --environment names another environment.'],
  })
}
