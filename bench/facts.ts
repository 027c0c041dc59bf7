import {readFileSync} from 'node:fs'
import {availableParallelism, cpus, loadavg, release, totalmem, type} from 'node:os'
import {join} from 'node:path'
import {rowOf, withClient} from '../src/lib/postgres/connection.ts'
import {runService} from '../src/lib/system/service.ts'
import {projectRoot} from './dr-script.ts'
import {SERVER_SETTINGS, type Lab} from './lab.ts'

export type Fact = readonly [name: string, value: string]

/** What the figures depend on; nothing that tells whose machine it is. */
export const machineFacts = (): Fact[] => [
  ['processor', `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`],
  ['memory', `${(totalmem() / 1024 ** 3).toFixed(1)} GiB`],
  ['system', `${distribution()}, ${type()} ${release().split('-')[0] ?? ''}`],
  ['Node', process.version],
  ['dr', (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {version: string}).version],
  ['load when it began', (loadavg()[0] ?? 0).toFixed(2)],
]

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

export async function databaseFacts(lab: Lab): Promise<Fact[]> {
  const {version, bytes, tables, indexes} = await withClient(lab.url(), {}, (client) => rowOf<{version: string; bytes: string; tables: number; indexes: number}>(client, `
    SELECT current_setting('server_version') AS version, pg_database_size(current_database())::text AS bytes,
      (SELECT count(*)::int FROM pg_stat_user_tables) AS tables, (SELECT count(*)::int FROM pg_stat_user_indexes) AS indexes`))
  const {stdout} = await runService([lab.tool('pg_dump'), '--version'])
  return [
    ['server', `PostgreSQL ${version}; fsync off, ${Object.entries(SERVER_SETTINGS).map(([name, value]) => `${name} ${value}`).join(', ')}`],
    ['client', stdout.trim()],
    ['database', `${(Number(bytes) / 1e6).toFixed(0)} MB, ${tables} tables, ${indexes} indexes`],
  ]
}
