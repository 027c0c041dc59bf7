import {join} from 'node:path'
import type {Finding} from '../../src/lib/checks/finding.ts'
import type {Config} from '../../src/lib/config/config.ts'
import {loadConfig} from '../../src/lib/config/load.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import {findTools, type ClientTools} from '../../src/lib/postgres/tools.ts'
import {parseSkip} from '../../src/lib/postgres/restore-skip.ts'
import {restoreProcedure, restoreState} from '../../src/lib/procedures/restore/index.ts'
import type {RestoreOptions, RestoreState} from '../../src/lib/procedures/restore/options.ts'
import {parseRoleMap, withRoles} from '../../src/lib/procedures/restore/role-map.ts'
import {findBackup} from '../../src/lib/procedures/restore/source.ts'
import {RestoreWork} from '../../src/lib/procedures/restore/work.ts'
import type {SwapOptions} from '../../src/lib/procedures/swap/options.ts'
import {manifestSource} from '../../src/lib/cli/swap.ts'
import {createRun} from '../../src/lib/procedures/runs.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Progress} from '../../src/lib/runbook/procedure.ts'
import type {Gatekeeper, Renderer, StepView} from '../../src/lib/runbook/stage.ts'
import {systemClock} from '../../src/lib/system/clock.ts'
import {clientTools, systemTools} from './tools.ts'

export interface RestoreSetting {
  /** Of the live database. */
  url: string
  /** Holds the repository and the run's folder. */
  directory: string
  /** A label, `latest` or a path; else latest. */
  backup?: string
  s3?: {wanted: string; storage: (prefix?: string) => Promise<Storage>; bucket: string}
  into?: string
  jobs?: number
  digest?: boolean
  /** `OLD=NEW` each. */
  roleMap?: readonly string[]
  createRoles?: boolean
  skip?: readonly string[]
  environment?: Config['environment']
  config?: (config: Config) => Config
  /** Else everything that `findTools` would find on a machine with the tools of 17 and 18. */
  tools?: readonly ClientTools[]
  signal?: AbortSignal
  /** Put it in the live one's place. */
  swap?: Partial<SwapOptions>
  gatekeeper?: Gatekeeper
  onStep?: (id: string) => void
  onProgress?: (progress: Progress | string) => void
}

export interface RestoreOutcome {
  state: RestoreState
  notices: string[]
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

export const allTools = async (): Promise<ClientTools[]> =>
  findTools(undefined, {PATH: (await Promise.all([clientTools(18), clientTools(17), systemTools().then(({bin}) => bin)])).join(':')})

/** Performs a whole restore in this process, as the command does, and says how it ended. */
export async function runRestore(setting: RestoreSetting): Promise<RestoreOutcome> {
  const {directory, signal = new AbortController().signal} = setting
  const loaded = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory, flags: {environment: setting.environment}})
  const config = (setting.config ?? ((same) => same))({...loaded.config, s3: {...loaded.config.s3, ...(setting.s3 && {bucket: setting.s3.bucket})}})
  const notices: string[] = []
  const storages: Storage[] = []
  const keep = <T extends Storage>(storage: T): T => {
    storages.push(storage)
    return storage
  }
  let state: RestoreState | undefined
  let work: RestoreWork | undefined
  try {
    const roleMap = parseRoleMap(setting.roleMap ?? [])
    const backup = withRoles(await findBackup(setting.s3 ? {s3: setting.s3.wanted} : {backup: setting.backup}, {
      config, cwd: directory, signal, openLocal: () => Promise.resolve(keep(new LocalStorage(join(directory, 'backups')))),
      openS3: async (prefix) => keep(await (setting.s3?.storage ?? (() => Promise.reject(new Error('no bucket'))))(prefix)),
    }), roleMap)
    const run = await createRun(directory)
    const swap: SwapOptions | undefined = setting.swap && {
      config, target: parseTarget(setting.url), applicationName: `dr restore ${run.id}`, source: manifestSource(backup.manifest), safety: 'none', safetyWanted: false, keepAs: 'kept',
      again: ({database, live}) => `dr swap ${database} --confirm ${live}`, ...setting.swap,
    }
    const options: RestoreOptions = {
      config, target: parseTarget(setting.url), backup, tools: setting.tools ?? (await allTools()), runDirectory: run.directory, runId: run.id,
      stagingDirectory: join(directory, 'staging', run.id), jobs: setting.jobs ?? 2,
      ...(setting.into !== undefined && {into: setting.into}), ...(setting.digest !== undefined && {digest: setting.digest}), ...(swap && {swap}),
      roleMap, createRoles: setting.createRoles ?? false, skip: parseSkip(setting.skip ?? []),
    }
    work = new RestoreWork(options, run)
    state = restoreState(options, new Date())
    const journal = {run: 'test', path: '', write: () => Promise.resolve(), close: () => Promise.resolve()}
    await perform(restoreProcedure(options, work), state, {clock: systemClock, gatekeeper: setting.gatekeeper ?? {check() {}, pass: () => Promise.resolve('')}, journal, renderer: collecting(setting, notices), signal})
    return {state, notices}
  } catch (error) {
    return {state: state ?? ({findings: []} as unknown as RestoreState), notices, error: error as Error}
  } finally {
    await work?.close()
    for (const storage of storages) await storage.close()
  }
}

function collecting({onStep, onProgress}: RestoreSetting, notices: string[]): Renderer {
  const view = (id: string): StepView => ({
    start() { onStep?.(id) }, progress(progress) { onProgress?.(progress) }, skip() {}, done() {}, fail() {},
    notice(text) { notices.push(text) },
  })
  return {phase: () => ({step: view, notice() {}, close: () => Promise.resolve()})}
}

/** For a message of a failing test. */
export const wrongFindings = (findings: readonly Finding[]): string[] => findings.filter(({severity}) => severity === 'error' || severity === 'warning').map(({code, subject, message}) => `${code} ${subject}: ${message}`)
