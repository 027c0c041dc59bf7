import {rowOf, rowsOf, withClient, type Client} from '../src/lib/postgres/connection.ts'
import {quoteIdent} from '../src/lib/postgres/quote.ts'
import type {Lab} from './lab.ts'
import {RECORDINGS} from './recordings.ts'
import {runPartial, type Place} from './small-tables.ts'

/** A tenant that was deleted and came back. */
export interface TenantRestore {
  tenants: number
  /** Of the database, before. */
  rows: number
  /** That the deletion took or detached, and that came back. */
  back: number
  tables: number
  wallMs: number
  timings: readonly {phase: string; ms: number}[]
  sentBytes: number
  fetchedBytes: number
  members: number
  peakRssBytes: number
  /** Of the archive without the tables that hold nothing but random bytes. */
  sampleBytes: number
}

/** Deletes the largest tenant and restores it from S3. Every row of every table has to be as before, those of other tenants too. */
export async function restoreTenant(lab: Lab, place: Place, sampleBytes: number, linkBytesPerSecond: number): Promise<TenantRestore> {
  const live = <T>(work: (client: Client) => Promise<T>): Promise<T> => withClient(lab.adminUrl(place.database), {}, work)
  const {id, tenants} = await live((client) => rowOf<{id: string; tenants: number}>(client, 'SELECT (SELECT "tenantId" FROM leads GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) AS id, count(*)::int AS tenants FROM tenants'))
  const before = await live(contentsOf)
  await live((client) => client.query(`DELETE FROM incomes WHERE "tenantId" = '${id}'; DELETE FROM tenants WHERE id = '${id}'`))
  const damaged = differing(before, await live(contentsOf))
  if (damaged.length < 20) throw new Error(`Only ${damaged.length} tables lost rows of the tenant.`)
  const {wallMs, sentBytes, peakRssBytes, result: {merged, fetched, timings}} = await runPartial(lab, place, ['--tenant', id, '--merge', 'missing'], linkBytesPerSecond)
  const left = differing(before, await live(contentsOf))
  if (left.length > 0) throw new Error(`Not as before the tenant was deleted: ${left.join(', ')}.`)
  return {
    tenants, tables: damaged.length, wallMs, timings, sentBytes, peakRssBytes, sampleBytes, fetchedBytes: fetched?.bytes ?? 0, members: fetched?.members ?? 0,
    rows: [...before.values()].reduce((sum, {rows}) => sum + rows, 0),
    back: (merged?.tables ?? []).reduce((sum, {inserted, updated}) => sum + inserted + updated, 0),
  }
}

type Contents = Map<string, {rows: number; digest: string}>

/** What the tables of the sample hold, whatever the order of their rows. */
async function contentsOf(client: Client): Promise<Contents> {
  const names = await rowsOf<{name: string}>(client, `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE '${RECORDINGS.replace('_', String.raw`\_`)}%' ORDER BY 1`)
  const contents: Contents = new Map()
  for (const {name} of names) contents.set(name, await rowOf<{rows: number; digest: string}>(client, `SELECT count(*)::float8 AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS digest FROM ONLY ${quoteIdent(name)} t`))
  return contents
}

function differing(one: Contents, other: Contents): string[] {
  return [...one].filter(([name, {rows, digest}]) => other.get(name)?.rows !== rows || other.get(name)?.digest !== digest).map(([name]) => name)
}
