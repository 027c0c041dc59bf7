import {existsSync, globSync, realpathSync} from 'node:fs'
import {delimiter, join} from 'node:path'
import {preflightError} from '../errors.ts'
import {runTool} from '../system/tool.ts'

/** One installation of PostgreSQL's client tools. */
export interface ClientTools {
  directory: string
  /** As pg_dump states it: `17.5`. */
  version: string
  major: number
  pgDump: string
  pgRestore: string
}

/** Where distributions put the tools, besides PATH. */
const PLACES = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/{postgresql@*,libpq}/bin',
  '/usr/local/opt/{postgresql@*,libpq}/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
]
const INSTALL = 'Install them: apt-get install postgresql-client, brew install libpq; or set tools.directory (DR_PG_BIN) to where pg_dump lies.'

/** Every installation found, newest first. With `directory` only that one counts. */
export async function findTools(directory?: string, env: NodeJS.ProcessEnv = process.env): Promise<ClientTools[]> {
  const places = directory === undefined ? [...(env.PATH ?? '').split(delimiter), ...PLACES.flatMap((pattern) => globSync(pattern))] : [directory]
  const folders = [...new Set(places)].filter(holdsTools)
  const tools = (await Promise.all(folders.map(inspect))).filter((found) => found !== undefined)
  if (tools.length === 0) {
    throw preflightError('tools.missing', directory === undefined ? 'pg_dump and pg_restore were not found.' : `There is no working pg_dump and pg_restore in ${directory}.`, {hints: [INSTALL]})
  }
  return tools.toSorted((a, b) => compareVersions(b.version, a.version))
}

/**
 * The tools that dump a server of this major: its own major when that is at least 16 (zstd) and present, else the newest.
 * pg_dump refuses servers newer than itself, so that is refused here, in words and before anything begins.
 */
export function chooseForDump(found: readonly ClientTools[], serverMajor: number): ClientTools {
  const able = found.filter(({major}) => major >= serverMajor)
  const own = serverMajor >= 16 ? able.find(({major}) => major === serverMajor) : undefined
  const chosen = own ?? able[0]
  if (chosen) return chosen
  throw preflightError('tools.too-old', `The server is PostgreSQL ${serverMajor}, but the newest client tools found are ${found[0]?.version ?? 'none'}: pg_dump cannot dump a newer server.`, {
    hints: [`Install the client tools of PostgreSQL ${serverMajor} or newer (postgresql-client-${serverMajor}), or set tools.directory (DR_PG_BIN).`],
  })
}

/** The least major of the tools that an archive may be restored with: never older than the pg_dump that wrote it, even where its format could be read. */
export const archiveMajor = ({pgDump, pgRestoreMajor}: {pgDump: string; pgRestoreMajor: number}): number => Math.max(pgRestoreMajor, Number.parseInt(pgDump, 10) || 0)

/** The tools that read an archive and suit the target best: the target's own major when it can read the archive, else the oldest that can. */
export function chooseForRestore(found: readonly ClientTools[], least: number, serverMajor: number): ClientTools {
  const able = found.filter(({major}) => major >= least)
  const chosen = able.find(({major}) => major === serverMajor) ?? able.toReversed().find(({major}) => major >= serverMajor) ?? able.at(-1)
  if (chosen) return chosen
  throw preflightError('tools.too-old', `The archive was written by pg_dump ${least}, and older tools are never used on it; the newest pg_restore found is ${found[0]?.version ?? 'none'}.`, {
    hints: [`Install the client tools of PostgreSQL ${least} or newer (postgresql-client-${least}), or set tools.directory (DR_PG_BIN).`],
  })
}

/** Whether this pg_dump was built with zstd: it says so before it connects. */
export async function knowsZstd(tools: ClientTools): Promise<boolean> {
  if (tools.major < 16) return false
  const {stderr} = await runTool([tools.pgDump, '--compress=zstd:1', '--dbname=host=/nonexistent connect_timeout=1'])
  return !stderr.some((line) => line.includes('compress'))
}

/** Debian's /usr/bin/pg_dump is a wrapper that chooses a version by cluster; the real ones are in their own places. */
function holdsTools(place: string): boolean {
  const pgDump = join(place, 'pg_dump')
  return existsSync(pgDump) && existsSync(join(place, 'pg_restore')) && !realpathSync(pgDump).endsWith('pg_wrapper')
}

async function inspect(directory: string): Promise<ClientTools | undefined> {
  const pgDump = join(directory, 'pg_dump')
  const {stdout, code} = await runTool([pgDump, '--version'])
  const version = /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1]
  if (code !== 0 || version === undefined) return undefined
  return {directory, version, major: Number.parseInt(version, 10), pgDump, pgRestore: join(directory, 'pg_restore')}
}

function compareVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number)
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number)
  return aMajor - bMajor || aMinor - bMinor
}
