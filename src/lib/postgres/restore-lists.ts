import type {Archive, ArchiveEntry} from './archive.ts'

/**
 * A restore in three lists for `pg_restore -L`. Never `--section`: that runs GRANT and REVOKE before the data, and a table
 * whose owner lacks INSERT would stay empty.
 */
export interface RestoreLists {
  /** Everything before the first data, without ACLs. */
  schema: ArchiveEntry[]
  /** One TABLE DATA each. */
  data: ArchiveEntry[]
  /** By the `dumpId` of a TABLE DATA: what may be built as soon as this table is loaded, while others still load. */
  builds: ReadonlyMap<number, TableBuilds>
  /** All that is left, in the archive's order. */
  rest: ArchiveEntry[]
  /** Entries that would fail, or change what is not ours, on this server. */
  dropped: ArchiveEntry[]
}

export interface TableBuilds {
  /** Lock the whole table, so one after the other: constraints, and indexes with an ALTER TABLE (CLUSTER ON, REPLICA IDENTITY). */
  keys: ArchiveEntry[]
  /** Can be built side by side. */
  indexes: ArchiveEntry[]
}

export function restoreLists(archive: Archive, {serverMajor}: {serverMajor: number}): RestoreLists {
  const wanted = archive.entries.filter((entry) => !isDropped(entry, serverMajor))
  const firstData = wanted.findIndex(({section}) => section === 'data' || section === 'post-data')
  const before = wanted.slice(0, firstData === -1 ? undefined : firstData)
  const after = wanted.slice(before.length)
  const data = after.filter(isTableData)
  const builds = buildsOf(data, after, new Map(before.map((entry) => [entry.dumpId, entry])))
  const built = new Set([...builds.values()].flatMap(({keys, indexes}) => [...keys, ...indexes]))
  return {
    schema: before.filter(({kind}) => kind !== 'ACL'),
    data,
    builds,
    rest: [...before.filter(({kind}) => kind === 'ACL'), ...after.filter((entry) => !isTableData(entry) && !built.has(entry))],
    dropped: archive.entries.filter((entry) => isDropped(entry, serverMajor)),
  }
}

/** Only what leans on nothing but its own loaded table and on what list 1 has made: as pg_restore -j itself decides. */
function buildsOf(data: readonly ArchiveEntry[], after: readonly ArchiveEntry[], made: ReadonlyMap<number, ArchiveEntry>): Map<number, TableBuilds> {
  // An index names its table once for each of its columns.
  const tablesOf = ({dependencies}: ArchiveEntry) => [...new Set(dependencies)].filter((id) => made.get(id)?.kind === 'TABLE')
  const byTable = new Map<number, TableBuilds>()
  const builds = new Map<number, TableBuilds>()
  for (const entry of data) {
    const [table, ...more] = tablesOf(entry)
    if (table === undefined || more.length > 0) continue
    const own: TableBuilds = {keys: [], indexes: []}
    byTable.set(table, own)
    builds.set(entry.dumpId, own)
  }
  for (const entry of after) {
    if (!['CONSTRAINT', 'INDEX'].includes(entry.kind) || !entry.dependencies.every((id) => made.has(id))) continue
    const [table, ...more] = tablesOf(entry)
    const own = table === undefined || more.length > 0 ? undefined : byTable.get(table)
    own?.[entry.kind === 'INDEX' && !/^ALTER TABLE /m.test(entry.definition) ? 'indexes' : 'keys'].push(entry)
  }
  return builds
}

const isTableData = ({kind, file}: ArchiveEntry) => kind === 'TABLE DATA' && file !== undefined

/** Only an extension's owner may comment on it, and CREATE EXTENSION has done so already; statistics can be set from 18 on. */
const isDropped = (entry: ArchiveEntry, serverMajor: number) => isExtensionComment(entry) || (entry.kind === 'STATISTICS DATA' && serverMajor < 18)

export const isExtensionComment = ({kind, tag}: Pick<ArchiveEntry, 'kind' | 'tag'>): boolean => kind === 'COMMENT' && tag.startsWith('EXTENSION ')

/** Whether the archive brings the planner's statistics along, so that ANALYZE is not needed. */
export const carriesStatistics = (lists: RestoreLists): boolean => lists.rest.some(({kind}) => kind === 'STATISTICS DATA')

/** The text of a list file: pg_restore reads the number at the line's beginning, the rest is for people. */
export const listText = (entries: readonly ArchiveEntry[]): string => entries.map((entry) => `${entry.dumpId}; ${entryName(entry).replaceAll(/[\r\n]/g, ' ')}\n`).join('')

/** `INDEX public.leads_pkey`: for messages. */
export const entryName = ({kind, schema, tag}: Pick<ArchiveEntry, 'kind' | 'schema' | 'tag'>): string => `${kind} ${schema === undefined || schema === '' ? '' : `${schema}.`}${tag}`
