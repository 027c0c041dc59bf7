import {join} from 'node:path'
import {loadConfig} from '../../src/lib/config/load.ts'
import type {Config} from '../../src/lib/config/config.ts'
import {withClient} from '../../src/lib/postgres/connection.ts'
import type {RowsSince} from '../../src/lib/postgres/partial/contract.ts'
import {undoSchemas} from '../../src/lib/postgres/partial/undo-schema.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import {partialProcedure, partialState} from '../../src/lib/procedures/partial/index.ts'
import type {PartialFrom, StagePlace} from '../../src/lib/procedures/partial/options.ts'
import type {PartialOptions, PartialState} from '../../src/lib/procedures/partial/run-options.ts'
import {PartialWork} from '../../src/lib/procedures/partial/run-work.ts'
import {revertProcedure, revertState, type RevertState} from '../../src/lib/procedures/partial/undo.ts'
import {findSource} from '../../src/lib/procedures/restore/source.ts'
import {createRun} from '../../src/lib/procedures/runs.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {createJournal, type JournalEntry} from '../../src/lib/runbook/journal.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Phase} from '../../src/lib/runbook/procedure.ts'
import type {Gatekeeper} from '../../src/lib/runbook/stage.ts'
import type {Way} from '../../src/lib/report/partial-lines.ts'
import {allTools} from './restore.ts'
import {testStage} from './stage.ts'

export interface PartialSetting {
  /** Of the live database. */
  url: string
  /** Holds the repository and the run's folder. */
  directory: string
  wish: Partial<PartialOptions['wish']>
  /** Undefined: it is asked for. */
  way?: Way
  /** A label, `latest` or a path; else latest. Or a database. */
  backup?: string
  from?: PartialFrom
  s3?: {storage: (prefix?: string) => Promise<Storage>; bucket: string}
  sample?: number
  stage?: StagePlace
  environment?: Config['environment']
  config?: (config: Config) => Config
  gatekeeper?: Gatekeeper
  signal?: AbortSignal
  onStep?: (id: string) => void | Promise<void>
  /** The process is gone after this step: nothing is undone, and its journal does not know that the step was done. */
  killedAfter?: string
  /** A run that ended so, to be gone on with. */
  resumed?: Pick<PartialOutcome, 'run' | 'runId'>
}

export interface PartialOutcome {
  state: PartialState
  /** The name of the run, as its journal would have it. */
  run: string
  /** Of its folder. */
  runId: string
  /** Rows that were changed since the backup, as the last comparison listed them. */
  since?: RowsSince[] | undefined
  /** What the view was told. */
  seen: string[]
  /** The journal. */
  entries: ReturnType<typeof testStage>['entries']
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

let runs = 0
const nextRun = () => `20261127T020000Z-partial-${(runs += 1).toString(16).padStart(4, '0')}`

/** Performs a whole partial restore in this process, as the command does, and says how it ended. */
export async function runPartial(setting: PartialSetting): Promise<PartialOutcome> {
  const {directory} = setting
  const loaded = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory, flags: {environment: setting.environment}})
  const config = (setting.config ?? ((same) => same))({...loaded.config, ...(setting.s3 && {s3: {...loaded.config.s3, bucket: setting.s3.bucket}})})
  const storages: Storage[] = []
  const from = setting.from ?? (await wanted(setting, config, storages))
  const folder = await createRun(directory, setting.resumed?.runId)
  const options: PartialOptions = {
    config, target: parseTarget(setting.url), from, wish: {tables: [], relink: false, withParents: false, ...setting.wish}, sample: setting.sample ?? 3, tools: await allTools(), runDirectory: folder.directory, runId: folder.id, jobs: 2,
    stagingDirectory: join(directory, 'staging', folder.id), ...(setting.way !== undefined && {way: setting.way}), stage: setting.stage,
  }
  const work = new PartialWork(options, folder)
  const run = setting.resumed?.run ?? nextRun()
  const {stage, seen, entries} = testStage({...(setting.signal && {signal: setting.signal}), ...(setting.gatekeeper && {gatekeeper: setting.gatekeeper})})
  const state = partialState(options)
  const journal = {...stage.journal, run, write: async (entry: JournalEntry) => {
    await stage.journal.write(entry)
    if (entry.event === 'started') await setting.onStep?.(entry.step)
  }}
  try {
    const {phases, ...procedure} = partialProcedure(options, work)
    // As the command does with a run of which nothing had been put back.
    const earlier = setting.resumed && {begun: ['partial.recreate'], done: new Map<string, number>(), confirmed: new Set<string>(), anew: 'killed'}
    await perform({...procedure, phases: upTo(phases, setting.killedAfter)}, state, {...stage, journal}, earlier)
    return {state, run, runId: folder.id, since: work.since, seen, entries}
  } catch (error) {
    return {state, run, runId: folder.id, since: work.since, seen, entries, error: error as Error}
  } finally {
    await work.close()
    for (const storage of storages) await storage.close()
  }
}

function upTo(phases: readonly Phase<PartialState>[], last: string | undefined): Phase<PartialState>[] {
  const end = phases.findIndex(({steps}) => steps.some(({id}) => id === last))
  return end === -1 ? [...phases] : phases.slice(0, end + 1).map((phase, at) => (at < end ? phase : {...phase, steps: phase.steps.slice(0, phase.steps.findIndex(({id}) => id === last) + 1)}))
}

async function wanted({backup, directory, s3, signal = new AbortController().signal}: PartialSetting, config: Config, storages: Storage[]): Promise<PartialFrom> {
  const keep = <T extends Storage>(storage: T): T => {
    storages.push(storage)
    return storage
  }
  const found = await findSource(s3 ? {s3: backup ?? 'latest'} : {backup}, {
    config, cwd: directory, signal, openLocal: () => Promise.resolve(keep(new LocalStorage(join(directory, 'backups')))),
    openS3: async (prefix) => keep(await (s3?.storage ?? (() => Promise.reject(new Error('no bucket'))))(prefix)),
  })
  return 'place' in found ? {kind: 'dump', dump: found} : {kind: 'backup', backup: found}
}

/** Takes the last partial restore back, as `dr undo` does, with a journal beside those of investigations. */
export async function runRevert({url, directory}: Pick<PartialSetting, 'url' | 'directory'>): Promise<{state: RevertState; error?: Error & {code?: string; exitCode?: number}}> {
  const {config} = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory})
  const options = {config, target: parseTarget(url)}
  const [merge] = (await withClient(url, {}, (client) => undoSchemas(client))).filter(({undone}) => !undone)
  if (merge === undefined) throw new Error('There is nothing to take back.')
  const state = revertState(options, merge)
  const journal = await createJournal(join(directory, 'journal'), 'undo', new Date())
  try {
    await perform(revertProcedure(options, merge), state, testStage({journal}).stage)
    return {state}
  } catch (error) {
    return {state, error: error as Error}
  } finally {
    await journal.close()
  }
}
