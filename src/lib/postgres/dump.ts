import {DrError, preflightError, unreachableError} from '../errors.ts'
import {spawnTool, type RunningTool} from '../system/tool.ts'
import type {ToolAccess} from './passfile.ts'
import {dumpPattern} from './tables.ts'
import type {ClientTools} from './tools.ts'

/** `zstd:1`, `gzip:1`, `lz4` or `none`. */
export type Compression = string

export interface DumpOptions {
  directory: string
  snapshot: string
  jobs: number
  compression: Compression
  excludeSchemas: readonly string[]
  lockTimeoutMs: number
}

/** A data item of the archive whose files are final. */
export interface FinishedItem {
  /** The dump id, which names the member. */
  dumpId: number
  kind: 'TABLE DATA' | 'BLOBS'
}

const MOST_JOBS_UNASKED = 8

/** Never one job: then pg_dump does not say which member is finished. */
export const dumpJobs = (wanted: number | undefined, cores: number): number => Math.max(2, wanted ?? Math.min(MOST_JOBS_UNASKED, cores))

/** zstd:1 where the client can, else gzip:1: at level 6 gzip takes longer than the rest of the dump together. */
export function chooseCompression(wanted: string | undefined, tools: ClientTools, zstd: boolean): Compression {
  if (wanted === undefined) return zstd ? 'zstd:1' : 'gzip:1'
  const match = /^(?:(none|0)|(gzip|zstd)(?::(\d+))?)$/.exec(wanted)
  if (match === null) throw preflightError('backup.compress', `--compress ${wanted} is not known.`, {hints: ['Use zstd, zstd:LEVEL, gzip, gzip:LEVEL or none.']})
  if (match[1] !== undefined) return 'none'
  if (match[2] === 'zstd' && !zstd) {
    throw preflightError('backup.compress', `pg_dump ${tools.version} cannot write zstd.`, {hints: ['Install client tools of PostgreSQL 16 or newer, or use --compress gzip.']})
  }
  return `${match[2] ?? ''}:${match[3] ?? '1'}`
}

/** Clients before 16 know only a gzip level. */
function compressionArgument(compression: Compression, major: number): string {
  if (compression === 'none') return '--compress=0'
  return major >= 16 ? `--compress=${compression}` : `--compress=${compression.slice(compression.indexOf(':') + 1)}`
}

export function dumpArguments(tools: ClientTools, access: Pick<ToolAccess, 'url'>, options: DumpOptions): [string, ...string[]] {
  return [
    tools.pgDump, '--format=directory', `--jobs=${options.jobs}`, `--snapshot=${options.snapshot}`, compressionArgument(options.compression, tools.major),
    '--no-sync', '--verbose', `--lock-wait-timeout=${options.lockTimeoutMs}`, ...options.excludeSchemas.map((pattern) => `--exclude-schema=${dumpPattern(pattern)}`),
    `--file=${options.directory}`, `--dbname=${access.url()}`,
  ]
}

/**
 * Only at the start of a line, after pg_dump's own name (twice where lines are torn): the name of a table may hold the
 * same words, and stands behind others. What is not seen here is shipped when pg_dump has ended.
 */
export function finishedItem(line: string): FinishedItem | undefined {
  const match = /^(?:pg_dump:\s*)*finished item (\d+) (TABLE DATA|BLOBS) /.exec(line)
  return match ? {dumpId: Number(match[1]), kind: match[2] as FinishedItem['kind']} : undefined
}

export interface RunningDump {
  /** Resolves when pg_dump ended with 0; rejects with what it said otherwise. */
  done: Promise<void>
  end(): void
}

/** Starts pg_dump. `onFinished` hears of each member as soon as its files are closed. */
export function startDump(argv: [string, ...string[]], access: ToolAccess, onFinished: (item: FinishedItem) => void, signal?: AbortSignal): RunningDump {
  const seen = new Set<number>()
  let twice: FinishedItem | undefined
  const tool = spawnTool(argv, {
    env: access.env,
    ...(signal && {signal}),
    onStderrLine(line) {
      const item = finishedItem(line)
      if (item === undefined) return
      if (seen.has(item.dumpId)) {
        twice ??= item
        tool.end()
      } else {
        seen.add(item.dumpId)
        onFinished(item)
      }
    },
  })
  return {done: dumpEnd(tool, () => twice, signal), end: () => { tool.end() }}
}

async function dumpEnd(tool: RunningTool, twice: () => FinishedItem | undefined, signal?: AbortSignal): Promise<void> {
  const {code, stderr} = await tool.done
  signal?.throwIfAborted()
  const item = twice()
  if (item !== undefined) throw finishedTwice(item)
  // A file that vanishes while pg_dump runs is an error message with exit code 0.
  const errors = stderr.filter((line) => /pg_dump: (error|fatal):|pg_dump: detail:|^(ERROR|FATAL):/.test(line))
  if (code === 0 && errors.length === 0) return
  throw dumpError(code, errors.length > 0 ? errors : stderr.slice(-3))
}

/** A name with a line break in it looks like a message: a member may have been taken before it was whole. */
const finishedTwice = ({dumpId}: FinishedItem): DrError => preflightError('backup.finished-twice', `pg_dump reported item ${dumpId} finished twice: the name of a table holds the same words after a line break.`, {
  hints: ["Find it with: SELECT oid::regclass FROM pg_class WHERE relname LIKE '%finished item%'; rename it and run the backup again."],
})

/** What pg_dump ended with, in words. */
export function dumpError(code: number, lines: readonly string[]): DrError {
  const text = lines.map((line) => line.replace(/^pg_dump: /, '')).join(' ')
  if (/No space left on device/.test(text)) return preflightError('backup.disk-full', `The disk is full: ${text}`, {hints: ['Free space, or set backup.stagingDirectory to a larger disk.']})
  if (/password authentication failed|no password supplied|no pg_hba\.conf entry|authentication method/.test(text)) {
    return unreachableError('postgres.denied', `The server let dr in, but not pg_dump: ${text}`, {hints: ['Put the password into DATABASE_URL, or set PGPASSWORD or PGPASSFILE.', 'Check pg_hba.conf, and sslmode in DATABASE_URL.']})
  }
  if (/too many clients|too many connections|remaining connection slots/.test(text)) {
    return unreachableError('postgres.too-many-connections', `The server has no connection left for pg_dump: ${text}`, {hints: ['Lower --jobs (each job is a connection, and dr needs three more), or try again when fewer others are connected.']})
  }
  if (/connection to server|server closed the connection|terminating connection|could not connect/.test(text)) {
    return unreachableError('backup.connection-lost', `pg_dump lost its connection: ${text}`, {hints: ['Run the backup again.']})
  }
  return new DrError('backup.pg-dump', `pg_dump ended with code ${code}: ${text}`, {hints: ['Run the backup again; if it stays, run the pg_dump line of dr backup --plan by hand.']})
}
