import {join} from 'node:path'
import {loadConfig} from '../../src/lib/config/load.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import type {ClientTools} from '../../src/lib/postgres/tools.ts'
import {openSteps} from '../../src/lib/procedures/partial/open.ts'
import type {PartialFrom, StageOptions, StageState, StageWish} from '../../src/lib/procedures/partial/options.ts'
import {catalogsStep, dropScratchStep, scratchStep, sweepStep} from '../../src/lib/procedures/partial/scratch.ts'
import {dropStageStep} from '../../src/lib/procedures/partial/drop-stage.ts'
import {stageStep} from '../../src/lib/procedures/partial/stage.ts'
import {stageState, StageWork} from '../../src/lib/procedures/partial/work.ts'
import {findSource, isDump} from '../../src/lib/procedures/restore/source.ts'
import {createRun} from '../../src/lib/procedures/runs.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Step} from '../../src/lib/runbook/procedure.ts'
import {allTools} from './restore.ts'
import {testStage} from './stage.ts'

export interface StagingSetting {
  /** Of the live database. */
  url: string
  /** Holds the repository, the run's folder and staging. */
  directory: string
  /** A label, `latest`, a path, or a `postgres://` URL; with `s3` a label or a key in the bucket. */
  from?: string
  s3?: {storage: (prefix?: string) => Storage; bucket: string}
  wish: StageWish | ((state: StageState) => StageWish)
  /** Instead of the staging itself; else after it. */
  more?: (options: StageOptions, work: StageWork) => Step<StageState>[]
  keep?: boolean
  tools?: readonly ClientTools[]
  signal?: AbortSignal
  /** Hears of the progress of a step. */
  onProgress?: (id: string) => void
}

export interface StagingOutcome {
  state: StageState
  work: StageWork
  /** `step: notice …`, and what else was told. */
  seen: string[]
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

/** Stages rows in this process, as `dr partial` does before its gate; the run is closed after `look`. */
export async function withStaging(setting: StagingSetting, look: (outcome: StagingOutcome) => Promise<void>): Promise<void> {
  const {directory, signal = new AbortController().signal, from = 'latest'} = setting
  const loaded = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory})
  const config = {...loaded.config, s3: {...loaded.config.s3, ...(setting.s3 && {bucket: setting.s3.bucket})}}
  const found = from.startsWith('postgres') ? undefined : await findSource(setting.s3 ? {s3: from} : {backup: from}, {
    config, cwd: directory, signal, openLocal: () => Promise.resolve(new LocalStorage(join(directory, 'backups'))),
    openS3: (prefix) => (setting.s3 ? Promise.resolve(setting.s3.storage(prefix)) : Promise.reject(new Error('no bucket'))),
  })
  const source: PartialFrom = found === undefined ? {kind: 'database', target: parseTarget(from)} : isDump(found) ? {kind: 'dump', dump: found} : {kind: 'backup', backup: found}
  const run = await createRun(directory)
  const options: StageOptions = {
    config, target: parseTarget(setting.url), from: source, tools: setting.tools ?? (await allTools()), runDirectory: run.directory, runId: run.id, stagingDirectory: join(directory, 'staging', run.id), jobs: 2,
  }
  const {wish} = setting
  const work = new StageWork(options, run)
  const state = stageState(options)
  const {stage, seen} = testStage({signal})
  const renderer: typeof stage.renderer = {phase: (title, steps) => {
    const phase = stage.renderer.phase(title, steps)
    return {...phase, step: (id) => {
      const view = phase.step(id)
      return {...view, progress(progress) {
        setting.onProgress?.(id)
        view.progress(progress)
      }}
    }}
  }}
  const staging = [stageStep<StageState>(options, work, typeof wish === 'function' ? wish : () => wish), ...(setting.more?.(options, work) ?? [])]
  const outcome: StagingOutcome = {state, work, seen}
  try {
    await perform({id: 'partial', title: 'Stage', phases: [
      {title: 'Check', steps: openSteps<StageState>(options, work)},
      {title: 'Stage', steps: [sweepStep<StageState>(options, work), scratchStep<StageState>(options, work), catalogsStep<StageState>(options, work), ...staging, dropScratchStep<StageState>(options, work)]},
    ]}, state, {...stage, renderer}).catch((error: unknown) => { outcome.error = error as Error })
    await look(outcome)
    if (outcome.error === undefined) await dropStageStep<StageState>(options, work, {keep: () => setting.keep === true, tell() {}}).run(state, {progress() {}, notice: (text) => { seen.push(text) }, run: 'test', signal})
  } finally {
    await work.close()
  }
}

/** Whole tables. */
export const whole = (...names: string[]): StageWish => ({selection: {tables: names.map((name) => ({table: {schema: 'public', name}, where: {kind: 'all' as const}}))}})
