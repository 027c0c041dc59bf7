import {existsSync} from 'node:fs'
import {mkdir, rm, writeFile} from 'node:fs/promises'
import {findTools} from '../src/lib/postgres/tools.ts'
import {runService} from '../src/lib/system/service.ts'

const PACKAGE = 'postgresql'
/** Debian's package would make and start a cluster; the sandbox makes its own. */
const DROP_IN = '/etc/postgresql-common/createcluster.d'
const NO_CLUSTER = `${DROP_IN}/dashboarduz-dr-demo.conf`

/**
 * Makes sure that pg_dump and pg_restore are there: they come from the system, all else the project brings along.
 * Root on Debian gets the package, and no cluster with it; anybody else an error that says what to install.
 */
export async function ensurePostgresql(say: (line: string) => void): Promise<void> {
  const missing = await findTools().then(() => false, () => true)
  if (!missing) return
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) throw new Error(whatToInstall())
  say('PostgreSQL is not installed. Installing it with apt:')
  await mkdir(DROP_IN, {recursive: true})
  await writeFile(NO_CLUSTER, 'create_main_cluster = false\n')
  try {
    await apt(['update', '-qq'], say)
    await apt(['install', '-y', '-qq', '--no-install-recommends', PACKAGE], say)
  } finally {
    await rm(NO_CLUSTER, {force: true})
  }
  await findTools()
}

async function apt(args: readonly string[], say: (line: string) => void): Promise<void> {
  say(`$ apt-get ${args.join(' ')}`)
  const {code, stdout, stderr} = await runService(['apt-get', ...args], {env: {...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8'}})
  if (code === 0) return
  const last = `${stdout}${stderr}`.trim().split('\n').slice(-15).join('\n')
  throw new Error(`apt-get ${args[0] ?? ''} failed:\n${last}\n${whatToInstall()}`)
}

function whatToInstall(): string {
  const how = {
    darwin: 'brew install postgresql@17',
    linux: existsSync('/usr/bin/apt-get') ? 'sudo apt-get update && sudo apt-get install -y postgresql-client' : 'the package with pg_dump and pg_restore of your distribution (postgresql, postgresql-client)',
  }[process.platform as string] ?? 'the client tools of PostgreSQL'
  return `pg_dump and pg_restore were not found. Install them, then run this again:\n  ${how}`
}
