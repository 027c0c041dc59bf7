import type {Finding} from './finding.ts'

/** What the comparison needs of a backup's manifest. */
export interface ComparedBackup {
  label: string
  source: {database: string; systemIdentifier?: string | undefined}
  sizes: {archiveBytes: number}
  /** Sizes are compared only between archives of the same compression. */
  compression: string
  tables: readonly {schema: string; name: string; rows: number | null}[]
}

export const OTHER_SOURCE = 'backup.other-source'

/** Not every provider tells the cluster's identifier: what is not known on both sides says nothing. */
function isSameSource({source: a}: ComparedBackup, {source: b}: ComparedBackup): boolean {
  const sameCluster = a.systemIdentifier === undefined || b.systemIdentifier === undefined || a.systemIdentifier === b.systemIdentifier
  return a.database === b.database && sameCluster
}

/**
 * What makes a fresh backup suspect against the last good one: a table that fell to no rows, a table that is gone, or an
 * archive that shrank by more than `shrinkLimit` (a share). A suspect backup is kept, but never lets retention run.
 * A backup of another database or cluster says nothing of this one: then there is one finding for information.
 */
export function suspicions(fresh: ComparedBackup, last: ComparedBackup, shrinkLimit: number): Finding[] {
  if (!isSameSource(fresh, last)) {
    return [{code: OTHER_SOURCE, severity: 'info', subject: '', message: `not compared: the last good backup ${last.label} is of another source (database ${last.source.database}${last.source.systemIdentifier === undefined ? '' : `, cluster ${last.source.systemIdentifier}`})`}]
  }
  const nameOf = ({schema, name}: {schema: string; name: string}) => `${schema}.${name}`
  const rows = new Map(fresh.tables.map((table) => [nameOf(table), table.rows]))
  const warn = (code: string, subject: string, message: string): Finding => ({code, severity: 'warning', subject, message, hint: `If this is right (a table was dropped or emptied on purpose): dr backup --accept, once. Else restore from ${last.label}.`})
  const tables = last.tables.flatMap((table) => {
    const name = nameOf(table)
    if ((table.rows ?? 0) === 0) return []
    if (!rows.has(name)) return [warn('backup.table-gone', name, `the table is gone; backup ${last.label} had ${table.rows ?? 0} rows`)]
    return rows.get(name) === 0 ? [warn('backup.table-emptied', name, `no rows; backup ${last.label} had ${table.rows ?? 0}`)] : []
  })
  const comparable = last.compression === fresh.compression && last.sizes.archiveBytes > 0
  const share = !comparable ? 0 : 1 - fresh.sizes.archiveBytes / last.sizes.archiveBytes
  const shrunk = share > shrinkLimit ? [warn('backup.shrunk', '', `the archive is ${Math.round(share * 100)} % smaller than that of backup ${last.label}`)] : []
  return [...tables, ...shrunk]
}
