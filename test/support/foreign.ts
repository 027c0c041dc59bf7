import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {loadConfig} from '../../src/lib/config/load.ts'
import {withClient, rowsOf} from '../../src/lib/postgres/connection.ts'
import {countTable, digestTable} from '../../src/lib/postgres/counts.ts'
import {CANONICAL_SETTINGS} from '../../src/lib/postgres/snapshot.ts'
import {listTables} from '../../src/lib/postgres/tables.ts'
import {parseSkip} from '../../src/lib/postgres/restore-skip.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import type {ClientTools} from '../../src/lib/postgres/tools.ts'
import {foreignProcedure, foreignState} from '../../src/lib/procedures/restore/foreign/index.ts'
import type {ForeignOptions, ForeignState} from '../../src/lib/procedures/restore/foreign/options.ts'
import {ForeignWork} from '../../src/lib/procedures/restore/foreign/work.ts'
import {findSource, isDump} from '../../src/lib/procedures/restore/source.ts'
import {createRun} from '../../src/lib/procedures/runs.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Progress} from '../../src/lib/runbook/procedure.ts'
import {testStage} from './stage.ts'
import type {TestCluster} from './cluster.ts'
import {allTools} from './restore.ts'

export interface ForeignSetting {
  /** Of the live database. */
  url: string
  /** Holds the run's folder and staging. */
  directory: string
  /** A path, a key of `s3`, or `-`. */
  dump: string
  s3?: {storage: (prefix?: string) => Storage; bucket: string}
  stdin?: Readable
  into?: string
  jobs?: number
  createRoles?: boolean
  skip?: readonly string[]
  tools?: readonly ClientTools[]
  signal?: AbortSignal
  onProgress?: (progress: Progress | string) => void
  onStep?: (id: string) => void
}

export interface ForeignOutcome {
  state: ForeignState
  /** What was told while it ran, as `step: notice …`. */
  seen: string[]
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

/** Performs the restore of a dump that dr did not make, as the command does, and says how it ended. */
export async function runForeign(setting: ForeignSetting): Promise<ForeignOutcome> {
  const {directory, signal = new AbortController().signal} = setting
  const loaded = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory})
  const config = {...loaded.config, s3: {...loaded.config.s3, ...(setting.s3 && {bucket: setting.s3.bucket})}}
  const {stage, seen} = testStage({signal})
  const renderer = watching(stage.renderer, setting)
  let state: ForeignState | undefined
  let work: ForeignWork | undefined
  try {
    const dump = await findSource(setting.s3 ? {s3: setting.dump} : {backup: setting.dump}, {
      config, cwd: directory, signal, openLocal: () => Promise.reject(new Error('no repository')),
      openS3: (prefix) => (setting.s3 ? Promise.resolve(setting.s3.storage(prefix)) : Promise.reject(new Error('no bucket'))), ...(setting.stdin && {stdin: setting.stdin}),
    })
    if (!isDump(dump)) throw new Error('It is a backup of dr.')
    const run = await createRun(directory)
    const options: ForeignOptions = {
      config, target: parseTarget(setting.url), dump, tools: setting.tools ?? (await allTools()), runDirectory: run.directory, runId: run.id,
      stagingDirectory: join(directory, 'staging', run.id), jobs: setting.jobs ?? 2, ...(setting.into !== undefined && {into: setting.into}),
      createRoles: setting.createRoles ?? false, skip: parseSkip(setting.skip ?? []),
    }
    work = new ForeignWork(options, run)
    state = foreignState(options, anotherSecond())
    await perform(foreignProcedure(options, work), state, {...stage, renderer})
    return {state, seen}
  } catch (error) {
    return {state: state ?? ({findings: []} as unknown as ForeignState), seen, error: error as Error}
  } finally {
    await work?.close()
  }
}

let lastSecond = 0

/** Names of restored databases hold the second; restores of a test may follow each other faster than that. */
function anotherSecond(): Date {
  lastSecond = Math.max(lastSecond + 1000, Date.now())
  return new Date(lastSecond)
}

function watching(renderer: ReturnType<typeof testStage>['stage']['renderer'], {onProgress, onStep}: ForeignSetting): typeof renderer {
  return {
    phase: (title, steps) => {
      const phase = renderer.phase(title, steps)
      return {...phase, step: (id) => {
        const step = phase.step(id)
        return {...step, start() { onStep?.(id); step.start() }, progress(progress) { onProgress?.(progress); step.progress(progress) }}
      }}
    },
  }
}

/** `schema.table: rows digest` of every table. */
export async function digestsOf(url: string): Promise<string[]> {
  return withClient(url, {}, async (client) => {
    for (const setting of CANONICAL_SETTINGS) await client.query(setting)
    const found: string[] = []
    for (const table of await listTables(client, {excludeSchemas: []}, {sizes: false})) {
      const ordered = {...table, columns: table.columns.toSorted()}
      const counts = await countTable(client, ordered, 'tenantId')
      found.push(`${table.schema}.${table.name}: ${counts?.rows ?? '-'} ${(await digestTable(client, ordered)) ?? '-'}`)
    }
    return found
  })
}

/** Names of databases that begin so, and of those that a restore has not named yet. */
export async function databasesOf(cluster: TestCluster, prefix: string): Promise<string[]> {
  const rows = await withClient(cluster.adminUrl, {}, (client) => rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1) OR starts_with(datname, 'dr_unfinished_') ORDER BY 1", [prefix]))
  return rows.map(({name}) => name)
}
