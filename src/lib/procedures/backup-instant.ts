import type {BackupInstant} from '../postgres/newer-rows.ts'
import type {Manifest} from '../repository/manifest.ts'

/** What of a manifest tells whether numbers of transactions mean the same there and in a live database. */
export function instantOf({source: {systemIdentifier, databaseOid}, snapshot: {current, timeline, lsn}}: Pick<Manifest, 'source' | 'snapshot'>): BackupInstant {
  return {current, systemIdentifier, databaseOid, timeline, lsn}
}
