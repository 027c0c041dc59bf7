import {MIGRATION_HEAD, MIGRATIONS_TABLE_EXISTS} from '../../application/migrations.ts'
import {rowOf, rowsOf} from '../../postgres/connection.ts'
import {countTable, digestTable} from '../../postgres/counts.ts'
import {statementError} from '../../postgres/errors.ts'
import {readSchemaFacts, type SchemaFacts} from '../../postgres/facts.ts'
import {readDatabase, readRoles, type DatabaseFacts, type RoleFacts} from '../../postgres/roles.ts'
import type {Leader} from '../../postgres/snapshot.ts'
import type {TableRef} from '../../postgres/tables.ts'
import type {BackupOptions} from './options.ts'

export interface CountedTable extends TableRef {
  rows: number | null
  tenants?: Record<string, number>
  digest?: string
}

/** All that the manifest says of the source, read in the snapshot that the dump shows. */
export interface SourceFacts {
  tables: CountedTable[]
  schema: SchemaFacts
  roles: RoleFacts[]
  database: DatabaseFacts
  migrations: {head: string | null; finishedAt?: string} | undefined
}

export async function readUnderSnapshot(leader: Leader, {config, digest}: BackupOptions): Promise<SourceFacts> {
  try {
    const tables: CountedTable[] = []
    for (const table of leader.tables) {
      const counts = await countTable(leader.client, table, config.database.tenantColumn)
      const taken = digest ? await digestTable(leader.client, table) : undefined
      tables.push({...table, rows: counts?.rows ?? null, ...(counts?.tenants && {tenants: counts.tenants}), ...(taken !== undefined && {digest: taken})})
    }
    return {
      tables,
      schema: await readSchemaFacts(leader.client, config.database),
      roles: await readRoles(leader.client),
      database: await readDatabase(leader.client),
      migrations: await readMigrations(leader),
    }
  } catch (error) {
    throw statementError(error, 'Counting the rows')
  }
}

async function readMigrations({client}: Leader): Promise<SourceFacts['migrations']> {
  const {exists} = await rowOf<{exists: boolean}>(client, MIGRATIONS_TABLE_EXISTS)
  if (!exists) return undefined
  const [row] = await rowsOf<{head: string; finishedAt: string}>(client, MIGRATION_HEAD)
  return row ?? {head: null}
}
