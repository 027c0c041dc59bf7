import {rm} from 'node:fs/promises'
import type {BackupResult} from '../src/commands/backup.ts'
import type {PartialResult} from '../src/commands/partial.ts'
import {rowOf, rowsOf, withClient, type Client} from '../src/lib/postgres/connection.ts'
import {quoteIdent} from '../src/lib/postgres/quote.ts'
import {complete} from './backups.ts'
import {DATA, runDr, type DrRun} from './dr.ts'
import type {Lab} from './lab.ts'
import {startCountedS3} from './s3.ts'
import type {Sample, Variant} from './variants.ts'

/** A database, and its backup in S3. */
export interface Place {
  /** In the report. */
  name: string
  database: string
  rows: number
  databaseBytes: number
  archiveBytes: number
  label: string
  /** Where the S3 server keeps its objects. */
  store: string
}

/** By `dr backup --s3`, over a link without a limit. */
export async function backedUp(lab: Lab, {name, database, rows}: Pick<Place, 'name' | 'database' | 'rows'>): Promise<Place> {
  await lab.fresh(DATA)
  const store = await lab.fresh(`store-${database}`)
  const s3 = await startCountedS3(store)
  try {
    const {result} = await runDr<BackupResult>(lab, ['backup', '--s3', '--jobs', String(lab.jobs)], {...s3.environment, DATABASE_URL: lab.url(database)})
    const {bytes} = await withClient(lab.url(database), {}, (client) => rowOf<{bytes: string}>(client, 'SELECT pg_database_size(current_database())::text AS bytes'))
    return {name, database, rows, databaseBytes: Number(bytes), archiveBytes: complete(result), label: result.label, store}
  } finally {
    await s3.stop()
    await rm(lab.path(DATA), {recursive: true})
  }
}

export type PartialRun = DrRun<PartialResult> & {sentBytes: number}

/** `dr partial` of a backup in S3 into the database that it is of. What is not as it should be afterwards is an error. */
export async function runPartial(lab: Lab, {database, label, store}: Place, args: readonly string[], linkBytesPerSecond: number): Promise<PartialRun> {
  await lab.fresh(DATA)
  const s3 = await startCountedS3(store, linkBytesPerSecond)
  try {
    const run = await runDr<PartialResult>(lab, ['partial', '--from', label, ...args, '--confirm', database], {...s3.environment, DATABASE_URL: lab.url(database)})
    const wrong = run.result.findings.filter(({severity}) => severity !== 'ok')
    if (run.result.merged === null || wrong.length > 0) throw new Error(`The rows are not back as they should be: ${JSON.stringify(wrong)}`)
    return {...run, sentBytes: s3.sentBytes()}
  } finally {
    await s3.stop()
    await rm(lab.path(DATA), {recursive: true})
  }
}

/** An accident with a small table, and the command that repairs it. */
interface Accident {
  title: string
  damage: string
  args: readonly string[]
  /** That the damage changes. */
  tables: readonly string[]
}

export const ACCIDENTS: readonly Accident[] = [
  {
    title: 'half of the tariffs deleted, the others overwritten: --table tariffs --merge changed --relink',
    damage: 'DELETE FROM tariffs WHERE hashtextextended(id, 1) % 2 = 0; UPDATE tariffs SET price = 0',
    args: ['--table', 'tariffs', '--merge', 'changed', '--relink'],
    tables: ['tariffs', 'incomes'],
  },
  {
    title: 'one column of all users overwritten, to whom rows of large tables refer: --table users --columns isActive --merge changed',
    damage: 'UPDATE users SET "isActive" = NOT "isActive"',
    args: ['--table', 'users', '--columns', 'isActive', '--merge', 'changed'],
    tables: ['users'],
  },
]

/** Each accident in each place: `a1` is the first accident in the first place. */
export const smallTableVariants = (lab: Lab, places: readonly Place[], linkBytesPerSecond: number): Variant[] =>
  ACCIDENTS.flatMap((accident, index) => places.map((place, at) => ({
    id: variantId(index, at), title: `${place.name} archive, ${accident.title}`, run: () => repaired(lab, place, accident, linkBytesPerSecond),
  })))

export const variantId = (accident: number, place: number): string => `${String.fromCodePoint(97 + accident)}${place + 1}`

async function repaired(lab: Lab, place: Place, {damage, args, tables}: Accident, linkBytesPerSecond: number): Promise<Sample> {
  const inPlace = <T>(work: (client: Client) => Promise<T>): Promise<T> => withClient(lab.adminUrl(place.database), {}, work)
  const before = await inPlace((client) => digestOf(client, tables))
  await inPlace((client) => client.query(damage))
  if (same(before, await inPlace((client) => digestOf(client, tables)))) throw new Error('Nothing was damaged.')
  const {wallMs, clientMs, serverMs, peakRssBytes, ownCpuMs, sentBytes, result} = await runPartial(lab, place, args, linkBytesPerSecond)
  if (!same(before, await inPlace((client) => digestOf(client, tables)))) throw new Error(`${tables.join(', ')} of ${place.database}: not as before.`)
  await inPlace(dropUndo)
  return {wallMs, clientMs, serverMs, peakRssBytes, ownCpuMs, sentBytes, ...(result.fetched && {fetchedBytes: result.fetched.bytes})}
}

async function digestOf(client: Client, tables: readonly string[]): Promise<string[]> {
  const digests: string[] = []
  for (const table of tables) digests.push((await rowOf<{digest: string}>(client, `SELECT coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS digest FROM ${quoteIdent(table)} t`)).digest)
  return digests
}

const same = (one: readonly string[], other: readonly string[]): boolean => one.every((digest, index) => digest === other[index])

/** The rows as they were before, which each restore keeps: every round finds the same database. */
async function dropUndo(client: Client): Promise<void> {
  for (const {name} of await rowsOf<{name: string}>(client, "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'dr\\_undo\\_%'")) await client.query(`DROP SCHEMA ${quoteIdent(name)} CASCADE`)
}
