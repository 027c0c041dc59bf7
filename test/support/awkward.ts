import {readdirSync, readFileSync} from 'node:fs'
import pg from 'pg'
import {withClient} from '../../src/lib/postgres/connection.ts'
import type {TestCluster} from './cluster.ts'

export interface AwkwardDatabase {
  name: string
  /** The superuser's connection string. */
  url: string
}

const folder = new URL('awkward/', import.meta.url)

/** Roles that the database leans on; they belong to the cluster and stay. */
const ROLES = `
CREATE ROLE awkward_owner LOGIN PASSWORD 'owner' CREATEDB;
CREATE ROLE awkward_app LOGIN PASSWORD 'app';
CREATE ROLE awkward_reader NOLOGIN;
CREATE ROLE "awkward; other" NOLOGIN;
GRANT awkward_reader TO awkward_app;
GRANT awkward_reader TO awkward_owner WITH ADMIN OPTION`

/**
 * Makes a database that holds each kind of object that backups are known to get wrong, on a server of any major from 15 on;
 * `awkward/*.sql` is the list. Its settings change how values look as text. Objects of newer majors are there when the
 * server knows them. `races` adds objects that a stock parallel pg_restore fails on now and then.
 */
export async function createAwkwardDatabase(cluster: TestCluster, name: string, {races = false} = {}): Promise<AwkwardDatabase> {
  const url = await cluster.createDatabase(name)
  await run(cluster.adminUrl, [await missingRoles(cluster.adminUrl), ...databaseSettings(name)])
  await run(url, scripts(cluster.major, races))
  return {name, url}
}

const missingRoles = async (url: string): Promise<string> => ((await run(url, ["SELECT FROM pg_roles WHERE rolname = 'awkward_owner'"])) === 0 ? ROLES : '')

function databaseSettings(name: string): string[] {
  const database = pg.escapeIdentifier(name)
  return [
    `ALTER DATABASE ${database} OWNER TO awkward_owner`,
    `COMMENT ON DATABASE ${database} IS 'it''s; awkward'`,
    `ALTER DATABASE ${database} CONNECTION LIMIT 60`,
    `REVOKE TEMPORARY ON DATABASE ${database} FROM PUBLIC; GRANT CONNECT ON DATABASE ${database} TO awkward_app WITH GRANT OPTION`,
    ...['IntervalStyle = sql_standard', "DateStyle = 'German, DMY'", 'bytea_output = escape', "TimeZone = 'Asia/Tashkent'", 'extra_float_digits = -3', 'search_path = odd, public']
      .map((setting) => `ALTER DATABASE ${database} SET ${setting}`),
    `ALTER ROLE awkward_app IN DATABASE ${database} SET statement_timeout = '7s'`,
  ]
}

/** The numbered files for every server, then `from-N.sql` for those of at least that major. */
function scripts(major: number, races: boolean): string[] {
  const since = (name: string): number => Number(/^from-(\d+)/.exec(name)?.[1] ?? 0)
  const names = readdirSync(folder).sort().filter((name) => (name === 'races.sql' ? races : since(name) <= major))
  return names.map((name) => readFileSync(new URL(name, folder), 'utf8'))
}

/** The scripts are written for a session with the usual settings, not for those that the database has. */
const USUAL = "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = postgres; SET search_path = public; SET TimeZone = UTC; SET extra_float_digits = 1"

/** Runs texts of statements one after the other; returns the rows of the last. */
const run = (url: string, texts: readonly string[]): Promise<number> =>
  withClient(url, {}, async (client) => {
    await client.query(USUAL)
    let rows = 0
    for (const text of texts.filter((one) => one !== '')) {
      const results = await client.query(text) as unknown as pg.QueryResult | pg.QueryResult[]
      rows = [results].flat().at(-1)?.rowCount ?? 0
    }
    return rows
  })
