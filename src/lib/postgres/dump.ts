import {DrError, preflightError, unreachableError} from '../errors.ts'
import {spawnTool, type RunningTool} from '../system/tool.ts'
import type {ToolAccess} from './passfile.ts'
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

/** Never one job: then pg_dump does not say which member is finished. */
export const dumpJobs = (wanted: number | undefined, cores: number): number => Math.max(2, wanted ?? cores)

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
    '--no-sync', '--verbose', `--lock-wait-timeout=${options.lockTimeoutMs}`, ...options.excludeSchemas.map((pattern) => `--exclude-schema=${pattern}`),
    `--file=${options.directory}`, `--dbname=${access.url()}`,
  ]
}

/** Lines of several workers can be torn into one, so the words are looked for anywhere. */
export function finishedItems(line: string): FinishedItem[] {
  return [...line.matchAll(/finished item (\d+) (TABLE DATA|BLOBS) /g)].map(([, dumpId, kind]) => ({dumpId: Number(dumpId), kind: kind as FinishedItem['kind']}))
}

export interface RunningDump {
  /** Resolves when pg_dump ended with 0; rejects with what it said otherwise. */
  done: Promise<void>
  end(): void
}

/** Starts pg_dump. `onFinished` hears of each member as soon as its files are closed. */
export function startDump(argv: [string, ...string[]], access: ToolAccess, onFinished: (item: FinishedItem) => void, signal?: AbortSignal): RunningDump {
  const tool = spawnTool(argv, {
    env: access.env,
    ...(signal && {signal}),
    onStderrLine: (line) => { for (const item of finishedItems(line)) onFinished(item) },
  })
  return {done: dumpEnd(tool, signal), end: () => { tool.end() }}
}

async function dumpEnd(tool: RunningTool, signal?: AbortSignal): Promise<void> {
  const {code, stderr} = await tool.done
  signal?.throwIfAborted()
  // A file that vanishes while pg_dump runs is an error message with exit code 0.
  const errors = stderr.filter((line) => /pg_dump: (error|fatal):|pg_dump: detail:|^(ERROR|FATAL):/.test(line))
  if (code === 0 && errors.length === 0) return
  throw dumpError(code, errors.length > 0 ? errors : stderr.slice(-3))
}

function dumpError(code: number, lines: readonly string[]): DrError {
  const text = lines.map((line) => line.replace(/^pg_dump: /, '')).join(' ')
  if (/No space left on device/.test(text)) return preflightError('backup.disk-full', `The disk is full: ${text}`, {hints: ['Free space, or set backup.stagingDirectory to a larger disk.']})
  if (/connection to server|server closed the connection|terminating connection|could not connect/.test(text)) {
    return unreachableError('backup.connection-lost', `pg_dump lost its connection: ${text}`, {hints: ['Run the backup again.']})
  }
  return new DrError('backup.pg-dump', `pg_dump ended with code ${code}: ${text}`, {hints: ['Run the backup again; if it stays, run the pg_dump line of dr backup --plan by hand.']})
}
