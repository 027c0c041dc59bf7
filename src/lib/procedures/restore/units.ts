import {verificationError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {RestoreLists} from '../../postgres/restore-lists.ts'
import type {Manifest, ManifestMember} from '../../repository/manifest.ts'

/** What one pg_restore loads: one large table, or several small ones. */
export interface LoadUnit {
  entries: readonly ArchiveEntry[]
  members: readonly ManifestMember[]
  bytes: number
  /** Restored by the same pg_restore, after the data: keys; of small tables their indexes too. */
  keys: readonly ArchiveEntry[]
  /** What further pg_restores build at once when that one has ended. */
  indexes: readonly (readonly ArchiveEntry[])[]
}

const SMALL = 1_000_000
/** Of small tables in one process. */
const BATCH_BYTES = 4_000_000
/** Of compressed data: an index of less is built in a moment, so that a process for it alone would cost more than it gains. */
const BYTES_PER_BUILD = 2_000_000
const SUFFIXES = ['', '.zst', '.gz', '.lz4']

export const isLargeObjectMember = (name: string): boolean => /^blobs?_?\d*\.(toc|dat)/.test(name)

/**
 * Largest first. Starting a process and its connection takes longer than loading a small table, so small ones go together,
 * but never so many that a job has nothing to do.
 */
export function loadUnits({data, builds}: Pick<RestoreLists, 'data' | 'builds'>, manifest: Pick<Manifest, 'label' | 'members'>, jobs: number): LoadUnit[] {
  const members = new Map(manifest.members.map((member) => [member.name, member]))
  const single = data.map((entry): LoadUnit => {
    const member = memberOf(entry, members, manifest.label)
    const {keys, indexes} = builds.get(entry.dumpId) ?? {keys: [], indexes: []}
    const isLarge = member.bytes >= SMALL
    return {entries: [entry], members: [member], bytes: member.bytes, keys: isLarge ? keys : [...keys, ...indexes], indexes: isLarge ? portions(indexes, member.bytes, jobs) : []}
  }).toSorted((a, b) => b.bytes - a.bytes)
  const small = single.filter(({bytes}) => bytes < SMALL)
  return [...single.filter(({bytes}) => bytes >= SMALL), ...batches(small, Math.ceil(small.length / (2 * jobs)))]
}

/**
 * What is quickly there first, so that the server has something to do while the rest is on its way; and of tables that take
 * as long to fetch, those that give it most to do: each index is about as much work as the rows. Trials of all orders of six
 * tables over links of 3 to 40 MB/s were seldom better by more than a twentieth.
 */
export function fetchOrder(units: readonly LoadUnit[]): LoadUnit[] {
  const delay = ({bytes, keys, indexes}: LoadUnit) => bytes / Math.sqrt(1 + keys.length + indexes.flat().length)
  return units.toSorted((a, b) => delay(a) - delay(b))
}

/** Twice as many as jobs, so that they end at about the same time, but none too small for a process of its own. */
function portions(indexes: readonly ArchiveEntry[], bytes: number, jobs: number): ArchiveEntry[][] {
  const most = Math.max(1, Math.floor((bytes * indexes.length) / BYTES_PER_BUILD))
  const count = Math.min(indexes.length, 2 * jobs, most)
  return Array.from({length: count}, (_, portion) => indexes.filter((__, index) => index % count === portion))
}

/** The member that holds the rows of a TABLE DATA entry. */
export function memberOf({file = ''}: ArchiveEntry, members: ReadonlyMap<string, ManifestMember>, label: string): ManifestMember {
  const name = SUFFIXES.map((suffix) => `${file}${suffix}`).find((one) => members.has(one))
  const member = name === undefined ? undefined : members.get(name)
  if (member) return member
  throw verificationError('restore.member-missing', `The manifest of ${label} has no member for ${file}, which toc.dat names.`, {hints: ['Check the backup: dr verify', 'Restore another one: dr list']})
}

const together = (a: LoadUnit, b: LoadUnit): LoadUnit => ({entries: [...a.entries, ...b.entries], members: [...a.members, ...b.members], bytes: a.bytes + b.bytes, keys: [...a.keys, ...b.keys], indexes: []})

function batches(small: readonly LoadUnit[], most: number): LoadUnit[] {
  const gathered: LoadUnit[] = []
  for (const unit of small) {
    const last = gathered.at(-1)
    if (last === undefined || last.entries.length >= most || last.bytes + unit.bytes > BATCH_BYTES) gathered.push(unit)
    else gathered[gathered.length - 1] = together(last, unit)
  }
  return gathered
}
