import {connect, endQuietly, withClient, type Client} from '../../postgres/connection.ts'
import {quoteIdent as q, quoteLiteral} from '../../postgres/quote.ts'
import {loadSampleData, type LoadOptions} from './load.ts'
import {createTable, isolate} from './schema/ddl.ts'
import {AWKWARD, DERIVED, grants, MIGRATION_ROWS, PREAMBLE} from './schema/extras.ts'
import {sampleTables} from './schema/schema.ts'

/** The roles of the sample and what each may do. */
export const ROLES = {
  /** Owns the database and everything in it; may create databases; no superuser. */
  owner: 'dashboarduz',
  /** The application: filtered by row-level security. */
  app: 'dashboarduz_app',
  /** Reads some tables. */
  reader: 'dashboarduz_readonly',
} as const

export type SamplePasswords = Readonly<Record<keyof typeof ROLES, string>>

/** The part of a cluster that the sample needs. */
export interface SampleServer {
  url(database?: string, role?: {name: string; password: string}): string
}

export interface SampleOptions extends LoadOptions {
  passwords: SamplePasswords
  /** Default `dashboarduz`. It must not exist. */
  name?: string
}

export interface SampleDatabase {
  /** Connection strings with passwords: by the owner, by the application's role, by the reader. */
  urls: Readonly<Record<keyof typeof ROLES, string>>
  rows: ReadonlyMap<string, number>
}

/** Makes roles and a database that looks like Dashboarduz's, with rows. Roles that exist get the given passwords. */
export async function createSampleDatabase(server: SampleServer, options: SampleOptions): Promise<SampleDatabase> {
  const name = options.name ?? 'dashboarduz'
  await withClient(server.url(), {}, (admin) => createDatabase(admin, name, options.passwords))
  const url = (role: keyof typeof ROLES) => server.url(name, {name: ROLES[role], password: options.passwords[role]})
  const clients: Client[] = []
  try {
    for (let count = 0; count < 2; count += 1) clients.push(await connect(url('owner'), {applicationName: 'dr sandbox'}))
    const rows = await fill(clients, options)
    return {urls: {owner: url('owner'), app: url('app'), reader: url('reader')}, rows}
  } finally {
    await Promise.all(clients.map(endQuietly))
  }
}

async function createDatabase(admin: Client, name: string, passwords: SamplePasswords): Promise<void> {
  for (const [key, role] of Object.entries(ROLES)) {
    const {rowCount} = await admin.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role])
    const attributes = `LOGIN NOSUPERUSER ${key === 'owner' ? 'CREATEDB' : 'NOCREATEDB'}`
    await admin.query(`${rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${q(role)} ${attributes} PASSWORD ${quoteLiteral(passwords[key as keyof typeof ROLES])}`)
  }
  await admin.query(`CREATE DATABASE ${q(name)} OWNER ${q(ROLES.owner)} TEMPLATE template0 ENCODING 'UTF8'`)
  await admin.query(`COMMENT ON DATABASE ${q(name)} IS 'sample data of dr sandbox'`)
  await admin.query(`ALTER DATABASE ${q(name)} SET statement_timeout = '30min'`)
}

async function fill(clients: readonly Client[], options: SampleOptions): Promise<ReadonlyMap<string, number>> {
  const [first] = clients
  if (!first) throw new Error('No connection.')
  await first.query([PREAMBLE, ...sampleTables.map(createTable), MIGRATION_ROWS].join(';'))
  const rows = await loadSampleData(clients, options)
  options.signal?.throwIfAborted()
  await first.query([DERIVED, AWKWARD, ...sampleTables.flatMap(isolate), grants(q(ROLES.app), q(ROLES.reader))].join(';'))
  return rows
}
