import type {Level} from '../repository/evidence.ts'
import {parseLabel} from '../repository/label.ts'
import type {BackupEntry} from '../repository/repository.ts'

export type ListedLevel = Level | 'unreadable'

/** One of the places where a backup lies. */
export interface ListedCopy {
  storage: BackupEntry['storage']
  location: string
  level: ListedLevel
  /** Why it cannot be read. */
  error?: {code: string; message: string}
}

/** One backup, wherever it lies. What only the manifest knows is null when no copy's manifest can be read. */
export interface ListedBackup {
  label: string
  environment: string
  /** Of the snapshot; of the label when the manifest cannot be read. */
  createdAt: string
  ageSeconds: number
  /** Of the archive. */
  bytes: number | null
  tables: number | null
  rows: number | null
  /** Of the best copy. */
  level: ListedLevel
  /** Why it is suspect since it was made. */
  suspicions: string[]
  copies: ListedCopy[]
}

const rank: readonly ListedLevel[] = ['unreadable', 'suspect', 'stored', 'verified', 'drilled']

/** Whether one may rely on it: it was stored whole, and nothing speaks against it. */
export const isGood = ({level}: Pick<ListedBackup, 'level'>): boolean => rank.indexOf(level) >= rank.indexOf('stored')

const better = (a: ListedLevel, b: ListedLevel): ListedLevel => (rank.indexOf(b) > rank.indexOf(a) ? b : a)

/** Joins the copies of one backup; at least one. */
export function listedBackup(entries: readonly BackupEntry[], now: Date): ListedBackup {
  const [first] = entries
  if (first === undefined) throw new Error('A backup has at least one copy.')
  const copies = entries.map(listedCopy)
  const manifest = entries.find((entry) => entry.manifest !== undefined)?.manifest
  const createdAt = manifest === undefined ? parseLabel(first.label).at : new Date(manifest.createdAt)
  return {
    label: first.label,
    environment: first.environment,
    createdAt: createdAt.toISOString(),
    ageSeconds: Math.round((now.getTime() - createdAt.getTime()) / 1000),
    bytes: manifest?.sizes.archiveBytes ?? null,
    tables: manifest?.tables.length ?? null,
    rows: manifest?.tables.reduce((sum, {rows}) => sum + (rows ?? 0), 0) ?? null,
    level: copies.map(({level}) => level).reduce(better),
    suspicions: manifest?.suspicions ?? [],
    copies,
  }
}

function listedCopy({storage, location, level, error}: BackupEntry): ListedCopy {
  return {storage, location, level: level ?? 'unreadable', ...(error && {error: {code: error.code, message: error.message}})}
}

/** How the newest good backup of an environment stands to its RPO. */
export interface Objective {
  environment: string
  rpoSeconds: number
  newestGood: string | null
  newestGoodAgeSeconds: number | null
  /** Also when there is no good backup at all. */
  breached: boolean
}

export function objectiveOf(environment: string, rpoSeconds: number, newestGood: ListedBackup | undefined): Objective {
  const age = newestGood?.ageSeconds ?? null
  return {environment, rpoSeconds, newestGood: newestGood?.label ?? null, newestGoodAgeSeconds: age, breached: age === null || age > rpoSeconds}
}
