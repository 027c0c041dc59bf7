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
  /** All that is left, in the archive's order. */
  rest: ArchiveEntry[]
  /** Entries that would fail, or change what is not ours, on this server. */
  dropped: ArchiveEntry[]
}

export function restoreLists(archive: Archive, {serverMajor}: {serverMajor: number}): RestoreLists {
  const wanted = archive.entries.filter((entry) => !isDropped(entry, serverMajor))
  const firstData = wanted.findIndex(({section}) => section === 'data' || section === 'post-data')
  const before = wanted.slice(0, firstData === -1 ? undefined : firstData)
  const after = wanted.slice(before.length)
  return {
    schema: before.filter(({kind}) => kind !== 'ACL'),
    data: after.filter(isTableData),
    rest: [...before.filter(({kind}) => kind === 'ACL'), ...after.filter((entry) => !isTableData(entry))],
    dropped: archive.entries.filter((entry) => isDropped(entry, serverMajor)),
  }
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
