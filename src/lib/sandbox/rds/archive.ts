import {mkdir, readdir, readFile, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {handOver, serverAccount} from '../cluster/account.ts'

export interface BaseBackup {
  /** It is of use for every instant from here on. */
  at: Date
  directory: string
}

/** PostgreSQL's own size of a file of WAL. */
const SEGMENT_BYTES = 16 * 1024 ** 2
const WAL_FILE = /^[\dA-F]{24}$/
/** Behind the timeline, eight digits, stands where in the WAL a file belongs. */
const placeOf = (name: string): string => name.slice(8, 24)

export const archiveOf = (directory: string): string => join(directory, 'archive')
const basesOf = (directory: string): string => join(directory, 'bases')
export const partialBaseOf = (directory: string): string => join(basesOf(directory), 'partial')
export const baseDirectoryOf = (directory: string, at: Date): string => join(basesOf(directory), String(at.getTime()))

/** Makes a cluster's folder with those of its WAL and its base backups, for the server's account to write in. */
export async function prepareArchive(directory: string): Promise<void> {
  const account = await serverAccount()
  for (const folder of [directory, archiveOf(directory), basesOf(directory)]) {
    await mkdir(folder, {recursive: true})
    await handOver(account, folder)
  }
}

/** Never over a file that is there: PostgreSQL's own advice. */
export function archiveCommand(directory: string): string {
  const archive = shellWord(archiveOf(directory))
  return `test ! -f ${archive}/%f && cp %p ${archive}/%f.partial && mv ${archive}/%f.partial ${archive}/%f`
}

export const restoreCommand = (directory: string): string => `cp ${shellWord(archiveOf(directory))}/%f %p`

/** `%` begins a placeholder of PostgreSQL's. */
const shellWord = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`).replaceAll('%', '%%')}'`

/** Oldest first. */
export async function basesIn(directory: string): Promise<BaseBackup[]> {
  const names = (await readdir(basesOf(directory))).filter((name) => /^\d+$/.test(name)).toSorted((a, b) => Number(a) - Number(b))
  return names.map((name) => ({at: new Date(Number(name)), directory: join(basesOf(directory), name)}))
}

/** How much WAL was archived since the newest base backup, in bytes; 0 when there is none. */
export async function bytesSinceBase(directory: string): Promise<number> {
  const newest = (await basesIn(directory)).at(-1)
  if (!newest) return 0
  const first = await firstWalOf(newest)
  return (await walIn(directory)).filter((name) => WAL_FILE.test(name) && placeOf(name) > placeOf(first)).length * SEGMENT_BYTES
}

/** Removes all but the newest base backups, and the WAL that only the removed ones needed; all of it when none are kept. */
export async function pruneArchive(directory: string, keep: number): Promise<void> {
  const bases = await basesIn(directory)
  const [oldest] = keep === 0 ? [] : bases.slice(-keep)
  const first = oldest && (await firstWalOf(oldest))
  for (const {at, directory: base} of bases) if (oldest === undefined || at < oldest.at) await rm(base, {recursive: true})
  for (const name of await walIn(directory)) if (first === undefined || placeOf(name) < placeOf(first)) await rm(join(archiveOf(directory), name))
}

/** With the notes of base backups, which are named after a file of WAL. */
const walIn = async (directory: string): Promise<string[]> => (await readdir(archiveOf(directory))).filter((name) => /^[\dA-F]{24}(\.[\dA-F]{8}\.backup)?$/.test(name))

/** Recovery from the base backup begins in this file of WAL. */
async function firstWalOf({directory}: BaseBackup): Promise<string> {
  const label = await readFile(join(directory, 'backup_label'), 'utf8')
  const [, name] = /^START WAL LOCATION: .* \(file ([\dA-F]{24})\)/m.exec(label) ?? []
  if (name === undefined) throw new Error(`The base backup in ${directory} does not say where its WAL begins.`)
  return name
}
