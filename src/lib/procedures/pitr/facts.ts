import type {RecoveredFacts, RecoveredReference, TimedTable} from '../../checks/recovered.ts'
import {MIGRATION_HEAD, MIGRATIONS_TABLE_EXISTS} from '../../application/migrations.ts'
import type {Config} from '../../config/config.ts'
import {messageOf} from '../../errors.ts'
import {rowOf, rowsOf, withClient, type Client} from '../../postgres/connection.ts'
import {readSchemaFacts} from '../../postgres/facts.ts'
import {readLiveCounts} from '../../postgres/live-counts.ts'
import {readSequences} from '../../postgres/restore-facts.ts'
import {readRoles} from '../../postgres/roles.ts'
import {readServer} from '../../postgres/server.ts'
import {CANONICAL_SETTINGS} from '../../postgres/snapshot.ts'
import type {Target} from '../../postgres/target.ts'
import {mergedBackups} from '../list.ts'
import type {Manifest} from '../../repository/manifest.ts'
import {Repository} from '../../repository/repository.ts'
import type {Storage} from '../../repository/storage/storage.ts'

export interface ReadSideOptions {
  config: Config
  jobs: number
  applicationName: string
  /** What the operator calls the database, for hints. */
  namedBy?: string
  onCounted?: (done: number, total: number) => void
  signal: AbortSignal
}

/** Reads all that is compared, of the copy and of the source alike. Only reads. */
export async function readSide(target: Target, {config, jobs, applicationName, namedBy, onCounted, signal}: ReadSideOptions): Promise<RecoveredFacts> {
  const unread: NonNullable<RecoveredFacts['unread']> = {}
  const facts = await withClient(target, {applicationName, ...(namedBy !== undefined && {namedBy})}, async (client) => {
    for (const setting of ['SET statement_timeout = 0', 'SET row_security = off', ...CANONICAL_SETTINGS]) await client.query(setting)
    const {major, encoding, collation} = await readServer(client)
    return {
      ...await readSchemaFacts(client, config.database, (fact, error) => { unread[fact] = messageOf(error) }), sequences: await readSequences(client), roles: await readRoles(client),
      migration: await migrationOf(client), serverMajor: major, encoding, collation,
    }
  })
  const {tables} = await readLiveCounts(target, {...config.database, applicationName, connections: jobs, signal, ...(onCounted && {onCounted})})
  return {...facts, unread, digests: false, tables: tables.map(({schema, name, columns, rows, tenants, newest, trouble}): TimedTable => ({schema, name, columns, rows, ...(tenants && {tenants}), ...(newest !== undefined && {newest}), ...(trouble !== undefined && {trouble})}))}
}

async function migrationOf(client: Client): Promise<string | null> {
  const {exists} = await rowOf<{exists: boolean}>(client, MIGRATIONS_TABLE_EXISTS)
  const [row] = exists ? await rowsOf<{head: string}>(client, MIGRATION_HEAD) : []
  return row?.head ?? null
}

/** The source as it is now. */
export const liveReference = ({tables, roles, migration, serverMajor, ...facts}: RecoveredFacts): RecoveredReference => ({
  kind: 'live', roles, tables, ...(migration !== undefined && {migration}),
  expected: {...facts, sequences: facts.sequences.map((one) => ({...one})), server: {major: serverMajor}, digests: false, tables: tables.map(({schema, name, columns, rows, tenants}) => ({schema, name, kind: 'table' as const, rows, columns: [...columns], bytes: 0, ...(tenants && {tenants})}))},
})

export function backupReference(manifest: Manifest): RecoveredReference {
  const {roles, migrations} = manifest
  return {kind: 'backup', expected: {...manifest, tables: manifest.tables.filter(({kind}) => kind !== 'partitioned')}, roles, migration: migrations?.head ?? null}
}

export interface NearestOptions {
  storages: readonly Storage[]
  environment: string
  database: string
  at: Date
  signal: AbortSignal
}

/** The good backup of this database whose snapshot is nearest to the instant; a place that cannot be reached is left out. */
export async function nearestManifest({storages, environment, database, at, signal}: NearestOptions): Promise<Manifest | undefined> {
  let nearest: Manifest | undefined
  const distance = (one: Manifest | undefined) => (one === undefined ? Infinity : Math.abs(new Date(one.snapshot.at).getTime() - at.getTime()))
  for await (const entries of mergedBackups(storages.map((storage) => new Repository(storage, environment)), signal, () => {})) {
    const manifest = entries.find((entry) => entry.manifest?.source.database === database && entry.manifest.purpose !== 'safety' && entry.level !== 'suspect')?.manifest
    if (manifest === undefined) continue
    if (distance(manifest) < distance(nearest)) nearest = manifest
    else break
  }
  return nearest
}
