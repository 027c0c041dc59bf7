import {connect, endQuietly, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {quoteIdent} from '../../../../src/lib/postgres/quote.ts'
import {createSampleDatabase} from '../../../../src/lib/sandbox/database/create.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {privateCluster, testCluster, type ServerMajor, type TestCluster} from '../../../support/cluster.ts'

export interface SampleSize {
  rows: number
  tenants: number
  major?: ServerMajor
  /** Also part of it: statements of the owner. */
  more?: string
  /** On a server of its own, which may crash. */
  alone?: true
}

const PASSWORDS = {owner: 'o', app: 'a', reader: 'r'}

/** The sample of the sandbox with a backup; `crm` is what is live, and is made anew from the pristine one when a test wants it. */
export interface Sample {
  readonly cluster: TestCluster
  /** Holds the repository. */
  readonly directory: string
  readonly label: string
  /** Of the live database, by the owner of the tables. */
  readonly url: string
  /** The live database is as it was backed up. */
  anew: () => Promise<void>
  live: <T>(work: (client: Client) => Promise<T>) => Promise<T>
  /** What was backed up. */
  pristine: <T>(work: (client: Client) => Promise<T>) => Promise<T>
}

export function sampleFixture(name: string, {rows, tenants, major = 17, more = '', alone}: SampleSize): Sample {
  let cluster: TestCluster
  let [directory, label] = ['', '']
  const [live, kept] = [`${name}_live`, `${name}_pristine`]
  const owner = {name: 'dashboarduz', password: PASSWORDS.owner}

  before(async function () {
    this.timeout(300_000)
    cluster = await (alone ? privateCluster(major) : testCluster({major}))
    await cluster.drop(live, kept)
    await createSampleDatabase(cluster, {name: live, passwords: PASSWORDS, rows, tenants, encryptionKey: 'k'.repeat(32), seed: 3})
    await withClient(cluster.url(live, owner), {}, (client) => client.query(more))
    directory = await temporaryFolder(name)
    const {error, state} = await runBackup({url: cluster.url(live, owner), directory, toolsMajor: 17})
    if (error) throw error
    label = state.label ?? ''
    await withClient(cluster.adminUrl, {}, (client) => client.query(`ALTER DATABASE ${quoteIdent(live)} RENAME TO ${quoteIdent(kept)}`))
  })
  after(async () => {
    await (alone ? cluster.stop() : cluster.drop(live, kept))
    await removeFolder(directory)
  })
  return {
    get cluster() { return cluster },
    get directory() { return directory },
    get label() { return label },
    get url() { return cluster.url(live, owner) },
    anew: async () => {
      await cluster.drop(live)
      await withClient(cluster.adminUrl, {}, (client) => client.query(`CREATE DATABASE ${quoteIdent(live)} TEMPLATE ${quoteIdent(kept)} OWNER dashboarduz`))
    },
    live: (work) => withClient(cluster.url(live), {}, work),
    pristine: async (work) => {
      // Nobody may be in it while it is copied.
      const client = await connect(cluster.url(kept))
      return work(client).finally(() => endQuietly(client))
    },
  }
}

/** What a database holds: of each table the digests of its rows, each with the row's tenant where it has one. */
export type Contents = Map<string, Map<string, string>>

/** `''` of a row whose tenant is not known. */
export async function contentsOf(client: Client): Promise<Contents> {
  await client.query("SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET search_path = pg_catalog")
  const tables = await rowsOf<{schema: string; name: string; columns: string[]; tenant: boolean}>(client, `
    SELECT n.nspname AS schema, c.relname AS name, array_agg(a.attname::text ORDER BY a.attname) AS columns, bool_or(a.attname = 'tenantId') AS tenant
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema|dr_)' GROUP BY 1, 2 ORDER BY 1, 2`)
  const contents: Contents = new Map()
  for (const {schema, name, columns, tenant} of tables) {
    const own = schema === 'public' && name === 'tenants' ? 'id' : tenant ? '"tenantId"' : 'NULL'
    const rows = await rowsOf<{row: string; tenant: string}>(client, `SELECT md5(ROW(${columns.map(quoteIdent).join(', ')})::text) AS row, coalesce(${own}::text, '') AS tenant FROM ONLY ${quoteIdent(schema)}.${quoteIdent(name)}`)
    contents.set(schema === 'public' ? name : `${schema}.${name}`, counted(rows))
  }
  return contents
}

/** The same row may be there twice. */
function counted(rows: readonly {row: string; tenant: string}[]): Map<string, string> {
  const seen = new Map<string, number>()
  return new Map(rows.map(({row, tenant}) => {
    const times = (seen.get(row) ?? 0) + 1
    seen.set(row, times)
    return [`${row}/${times}`, tenant]
  }))
}

/** Tables that differ, with how many rows are only in the one and only in the other. */
export function differences(one: Contents, other: Contents, rows: (table: string, tenant: string) => boolean = () => true): Record<string, string> {
  const found: Record<string, string> = {}
  for (const table of new Set([...one.keys(), ...other.keys()])) {
    const [here, there] = [one.get(table) ?? new Map<string, string>(), other.get(table) ?? new Map<string, string>()]
    const only = (from: Map<string, string>, than: Map<string, string>) => [...from].filter(([row, tenant]) => rows(table, tenant) && !than.has(row)).length
    const [left, right] = [only(here, there), only(there, here)]
    if (left + right > 0) found[table] = `-${left} +${right}`
  }
  return found
}
