import type {Finding} from './finding.ts'

/** What the comparison needs of a backup's manifest. */
export interface ComparedBackup {
  label: string
  sizes: {archiveBytes: number}
  /** Sizes are compared only between archives of the same compression. */
  compression: string
  tables: readonly {schema: string; name: string; rows: number | null}[]
}

/**
 * What makes a fresh backup suspect against the last good one: a table that fell to no rows, a table that is gone, or an
 * archive that shrank by more than `shrinkLimit` (a share). A suspect backup is kept, but never lets retention run.
 */
export function suspicions(fresh: ComparedBackup, last: ComparedBackup, shrinkLimit: number): Finding[] {
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
