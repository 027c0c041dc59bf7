import {verificationError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {Manifest, ManifestMember} from '../../repository/manifest.ts'

/** What one pg_restore loads: one large table, or several small ones. */
export interface LoadUnit {
  entries: readonly ArchiveEntry[]
  members: readonly ManifestMember[]
  bytes: number
}

const SMALL = 1_000_000
/** Of small tables in one process. */
const BATCH_BYTES = 4_000_000
const SUFFIXES = ['', '.zst', '.gz', '.lz4']

export const isLargeObjectMember = (name: string): boolean => /^blobs?_?\d*\.(toc|dat)/.test(name)

/**
 * Largest first. Starting a process and its connection takes longer than loading a small table, so small ones go together,
 * but never so many that a job has nothing to do.
 */
export function loadUnits(entries: readonly ArchiveEntry[], manifest: Pick<Manifest, 'label' | 'members'>, jobs: number): LoadUnit[] {
  const members = new Map(manifest.members.map((member) => [member.name, member]))
  const single = entries.map((entry) => unitOf([entry], [memberOf(entry, members, manifest.label)])).toSorted((a, b) => b.bytes - a.bytes)
  const small = single.filter(({bytes}) => bytes < SMALL)
  return [...single.filter(({bytes}) => bytes >= SMALL), ...batches(small, Math.ceil(small.length / (2 * jobs)))]
}

function memberOf({file = ''}: ArchiveEntry, members: ReadonlyMap<string, ManifestMember>, label: string): ManifestMember {
  const name = SUFFIXES.map((suffix) => `${file}${suffix}`).find((one) => members.has(one))
  const member = name === undefined ? undefined : members.get(name)
  if (member) return member
  throw verificationError('restore.member-missing', `The manifest of ${label} has no member for ${file}, which toc.dat names.`, {hints: ['Check the backup: dr verify', 'Restore another one: dr list']})
}

const unitOf = (entries: readonly ArchiveEntry[], members: readonly ManifestMember[]): LoadUnit => ({entries, members, bytes: members.reduce((sum, {bytes}) => sum + bytes, 0)})

function batches(small: readonly LoadUnit[], most: number): LoadUnit[] {
  const gathered: LoadUnit[] = []
  for (const unit of small) {
    const last = gathered.at(-1)
    if (last === undefined || last.entries.length >= most || last.bytes + unit.bytes > BATCH_BYTES) gathered.push(unit)
    else gathered[gathered.length - 1] = unitOf([...last.entries, ...unit.entries], [...last.members, ...unit.members])
  }
  return gathered
}
