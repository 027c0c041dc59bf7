import {preflightError, usageError} from '../errors.ts'
import type {Archive, ArchiveEntry} from './archive.ts'
import {entryName} from './restore-lists.ts'

/** What can be left out of a restore: kinds of objects that only superusers may make, and extensions by name. */
export type SkipKind = (typeof SKIP_KINDS)[number] | `extension:${string}`

export const SKIP_KINDS = ['event-triggers', 'publications', 'subscriptions', 'foreign-data'] as const

const KINDS: Readonly<Record<(typeof SKIP_KINDS)[number], readonly string[]>> = {
  'event-triggers': ['EVENT TRIGGER'],
  publications: ['PUBLICATION', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA'],
  subscriptions: ['SUBSCRIPTION', 'SUBSCRIPTION TABLE'],
  'foreign-data': ['FOREIGN DATA WRAPPER', 'SERVER', 'USER MAPPING', 'FOREIGN TABLE'],
}

export interface SkippedEntry {
  kind: string
  /** `public.leads`, or the name alone. */
  name: string
}

export function parseSkip(words: readonly string[]): SkipKind[] {
  return words.map((word) => {
    const kind = SKIP_KINDS.find((one) => one === word)
    if (kind !== undefined) return kind
    if (/^extension:.+/.test(word)) return word as SkipKind
    throw usageError('restore.skip', `--skip ${word} is not known.`, {hints: [`It may be ${SKIP_KINDS.join(', ')}, or extension:NAME.`]})
  })
}

/** What of --skip leaves out everything of these kinds; none when something else is among them. */
export function skipFor(kinds: readonly string[]): SkipKind[] {
  const found = kinds.map((kind) => SKIP_KINDS.find((skip) => KINDS[skip].includes(kind)))
  return found.every((one) => one !== undefined) ? [...new Set(found)] : []
}

/** Takes these objects out of the archive, with everything that depends on them: never a table with rows. */
export function skipEntries(archive: Archive, skip: readonly SkipKind[]): {archive: Archive; skipped: SkippedEntry[]} {
  if (skip.length === 0) return {archive, skipped: []}
  const roots = archive.entries.filter((entry) => skip.some((kind) => isOf(entry, kind)))
  for (const kind of skip) if (!roots.some((entry) => isOf(entry, kind))) throw preflightError('restore.skip', `The backup holds nothing that --skip ${kind} would leave out.`, {hints: ['Leave the flag out.']})
  const gone = dependents(archive.entries, roots)
  const rows = archive.entries.find((entry) => entry.kind === 'TABLE DATA' && gone.has(entry.dumpId))
  if (rows) throw preflightError('restore.skip', `${entryName(rows)} depends on what --skip would leave out: its rows would be lost.`, {hints: ['Restore as a role that may create it.']})
  const left = archive.entries.filter(({dumpId}) => !gone.has(dumpId))
  return {archive: {...archive, entries: left}, skipped: archive.entries.filter(({dumpId}) => gone.has(dumpId)).map(({kind, schema, tag}) => ({kind, name: schema === undefined || schema === '' ? tag : `${schema}.${tag}`}))}
}

function isOf({kind, tag}: ArchiveEntry, skip: SkipKind): boolean {
  if (skip.startsWith('extension:')) return kind === 'EXTENSION' && tag === skip.slice('extension:'.length)
  return KINDS[skip as keyof typeof KINDS].includes(kind)
}

/** Comments, owners and privileges depend on their object, as views depend on what they read. */
function dependents(entries: readonly ArchiveEntry[], roots: readonly ArchiveEntry[]): Set<number> {
  const gone = new Set(roots.map(({dumpId}) => dumpId))
  for (let before = -1; before !== gone.size;) {
    before = gone.size
    for (const {dumpId, dependencies} of entries) if (dependencies.some((one) => gone.has(one))) gone.add(dumpId)
  }
  return gone
}
