import type {Archive, ArchiveEntry} from '../archive.ts'
import {entryName} from '../restore-lists.ts'
import type {TableName} from './contract.ts'
import {identityOf} from './live-objects.ts'

/** What makes lost tables anew, in two parts around their rows; each in the archive's order. */
export interface RecreatePlan {
  /** Tables with sequences, defaults, keys, privileges and row security; types and functions that they need. */
  before: ArchiveEntry[]
  /** What a DROP … CASCADE took besides: other indexes, foreign keys from and to them, triggers, views, functions, policies of other tables. */
  after: ArchiveEntry[]
  /** What cannot be made, and why. */
  leftOut: {what: string; why: string}[]
}

/** Rows and what is computed from them come another way. */
const NEVER = new Set(['TABLE DATA', 'STATISTICS DATA', 'BLOBS', 'BLOB'])
/** Made along with what needs it. */
const FOUNDATIONS = new Set(['SCHEMA', 'TYPE', 'DOMAIN', 'SHELL TYPE', 'FUNCTION', 'PROCEDURE', 'AGGREGATE', 'SEQUENCE', 'EXTENSION', 'COLLATION', 'OPERATOR', 'OPERATOR CLASS', 'OPERATOR FAMILY', 'CAST'])
/** Of a lost table, needed before its rows. */
const FIRST = new Set(['TABLE', 'SEQUENCE', 'DEFAULT', 'SCHEMA', 'TYPE', 'DOMAIN', 'SHELL TYPE', 'EXTENSION', 'COLLATION'])
const FIRST_OF_OWN = new Set(['CONSTRAINT', 'ROW SECURITY', 'POLICY'])

/** Everything that is not live and depends on the lost tables, with what it needs. Pure. `live` holds identities of what is there. */
export function recreatePlan({entries}: Archive, lost: readonly TableName[], live: ReadonlySet<string>): RecreatePlan {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]))
  const isLive = (entry: ArchiveEntry) => live.has(identityOf(entry) ?? '')
  const roots = entries.filter(({kind, schema, tag}) => kind === 'TABLE' && lost.some((table) => table.schema === schema && table.name === tag))
  const leftOut: RecreatePlan['leftOut'] = []
  const chosen = dependents(entries, roots, isLive, leftOut)
  addFoundations(chosen, byId, isLive)
  addCompanions(chosen, entries)
  removeUnfounded(chosen, byId, isLive, leftOut)
  const joining = joinLive(chosen, byId)
  const before = firstPart(chosen, byId, new Set(roots.map(({dumpId}) => dumpId)), joining)
  const inOrder = (test: (id: number) => boolean) => entries.filter(({dumpId}) => chosen.has(dumpId) && test(dumpId))
  return {before: [...inOrder((id) => before.has(id) && !joining.attach.has(id)), ...inOrder((id) => joining.attach.has(id))], after: inOrder((id) => !before.has(id)), leftOut}
}

/** What leans on the roots and is not there. What is there again, by whomever, is not ours to touch; nor is what leans on that alone. */
function dependents(entries: readonly ArchiveEntry[], roots: readonly ArchiveEntry[], isLive: (entry: ArchiveEntry) => boolean, leftOut: RecreatePlan['leftOut']): Set<number> {
  const chosen = new Set(roots.map(({dumpId}) => dumpId))
  const seen = new Set(chosen)
  for (let before = -1; before !== chosen.size;) {
    before = chosen.size
    for (const entry of entries) {
      if (seen.has(entry.dumpId) || NEVER.has(entry.kind) || !entry.dependencies.some((id) => chosen.has(id))) continue
      seen.add(entry.dumpId)
      if (isLive(entry)) continue
      if (entry.kind === 'TABLE') leftOut.push({what: entryName(entry), why: 'it is not live either, and was not named'})
      else chosen.add(entry.dumpId)
    }
  }
  return chosen
}

function addFoundations(chosen: Set<number>, byId: ReadonlyMap<number, ArchiveEntry>, isLive: (entry: ArchiveEntry) => boolean): void {
  for (const id of chosen) {
    for (const one of byId.get(id)?.dependencies ?? []) {
      const entry = byId.get(one)
      if (entry && FOUNDATIONS.has(entry.kind) && !isLive(entry)) chosen.add(one)
    }
  }
}

/** Privileges and comments of what is made; a set follows its own growth. */
function addCompanions(chosen: Set<number>, entries: readonly ArchiveEntry[]): void {
  for (const entry of entries) {
    if (!NEVER.has(entry.kind) && identityOf(entry) === undefined && entry.dependencies.some((id) => chosen.has(id))) chosen.add(entry.dumpId)
  }
}

function removeUnfounded(chosen: Set<number>, byId: ReadonlyMap<number, ArchiveEntry>, isLive: (entry: ArchiveEntry) => boolean, leftOut: RecreatePlan['leftOut']): void {
  for (let before = -1; before !== chosen.size;) {
    before = chosen.size
    for (const id of chosen) {
      const entry = byId.get(id)
      const missing = entry?.dependencies.map((one) => byId.get(one)).toSorted((a, b) => Number(b?.kind === 'TABLE') - Number(a?.kind === 'TABLE')).find((other) => other && !chosen.has(other.dumpId) && !NEVER.has(other.kind) && identityOf(other) !== undefined && !isLive(other))
      if (entry === undefined || missing === undefined) continue
      chosen.delete(id)
      if (identityOf(entry) !== undefined) leftOut.push({what: entryName(entry), why: `it needs ${entryName(missing)}, which is not live`})
    }
  }
}

/** Partitions that join a table which is live. */
interface Joining {
  /** The entries by which they do. */
  attach: Set<number>
  /** The tables, and partitions of these. */
  tables: Set<number>
}

/**
 * ATTACH makes every key and index of the live table on the partition, unless there is an equal one, which it takes over: they come
 * before it, and what would attach them one by one is left out of `chosen`.
 */
function joinLive(chosen: Set<number>, byId: ReadonlyMap<number, ArchiveEntry>): Joining {
  const all = [...chosen].flatMap((id) => byId.get(id) ?? [])
  const attaching = all.filter(({kind}) => kind === 'TABLE ATTACH')
  const isApart = ({dependencies}: ArchiveEntry) => dependencies.some((id) => byId.has(id) && !chosen.has(id))
  const joins = attaching.filter(isApart)
  const tables = new Set(joins.flatMap(({dependencies}) => dependencies.filter((id) => chosen.has(id))))
  for (let before = -1; before !== tables.size;) {
    before = tables.size
    for (const {dependencies} of attaching) if (dependencies.some((id) => tables.has(id))) for (const id of dependencies) if (chosen.has(id)) tables.add(id)
  }
  const joined = new Set(joins.map(nameOfEntry))
  for (const entry of all) if (entry.kind === 'INDEX ATTACH' && (!chosen.has(indexOf(entry, byId)?.dumpId ?? 0) || joined.has(tableOfIndex(entry, byId)))) chosen.delete(entry.dumpId)
  return {attach: new Set(joins.map(({dumpId}) => dumpId)), tables}
}

const nameOfEntry = ({schema = '', tag}: Pick<ArchiveEntry, 'schema' | 'tag'>): string => JSON.stringify([schema, tag])

/** The index that is attached: an entry of its own, or that of its key. Of the entries that an ATTACH depends on others may be of farther ancestors. */
const indexOf = ({schema, tag, dependencies}: ArchiveEntry, byId: ReadonlyMap<number, ArchiveEntry>): ArchiveEntry | undefined =>
  dependencies.flatMap((id) => byId.get(id) ?? []).find((one) => one.schema === schema && (one.kind === 'INDEX' ? one.tag === tag : one.kind === 'CONSTRAINT' && one.tag.endsWith(` ${tag}`)))

function tableOfIndex(attach: ArchiveEntry, byId: ReadonlyMap<number, ArchiveEntry>): string {
  const table = indexOf(attach, byId)?.dependencies.flatMap((id) => byId.get(id) ?? []).find(({kind}) => kind === 'TABLE')
  return table === undefined ? '' : nameOfEntry(table)
}

/** Tables and what keeps their rows apart and from strangers; what that needs; and what goes with it alone. */
function firstPart(chosen: ReadonlySet<number>, byId: ReadonlyMap<number, ArchiveEntry>, roots: ReadonlySet<number>, joining: Joining): Set<number> {
  const first = new Set<number>()
  const isOwn = ({schema, tag, dependencies}: ArchiveEntry) => dependencies.some((id) => {
    const table = byId.get(id)
    return roots.has(id) && table?.schema === schema && (tag === table?.tag || tag.startsWith(`${table?.tag ?? ''} `))
  })
  const isEarlyIndex = ({kind, definition, dependencies}: ArchiveEntry) => kind === 'INDEX' && ((/^CREATE UNIQUE INDEX /m.test(definition) && dependencies.some((id) => roots.has(id))) || dependencies.some((id) => joining.tables.has(id)))
  for (const id of chosen) {
    const entry = byId.get(id)
    if (entry && (FIRST.has(entry.kind) || (FIRST_OF_OWN.has(entry.kind) && isOwn(entry)) || isEarlyIndex(entry))) first.add(id)
  }
  for (let before = -1; before !== first.size;) {
    before = first.size
    for (const id of first) for (const one of byId.get(id)?.dependencies ?? []) if (chosen.has(one)) first.add(one)
    for (const id of chosen) {
      const entry = byId.get(id)
      const needs = entry?.dependencies.filter((one) => chosen.has(one)) ?? []
      if (entry && identityOf(entry) === undefined && entry.kind !== 'MATERIALIZED VIEW DATA' && needs.length > 0 && needs.every((one) => first.has(one))) first.add(id)
    }
  }
  return first
}
