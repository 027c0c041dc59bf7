import {existsSync} from 'node:fs'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Config} from '../../src/lib/config/config.ts'
import {loadConfig} from '../../src/lib/config/load.ts'
import {unreachableError} from '../../src/lib/errors.ts'
import {dumpJobs} from '../../src/lib/postgres/dump.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import {findTools} from '../../src/lib/postgres/tools.ts'
import {backupProcedure, backupState} from '../../src/lib/procedures/backup/index.ts'
import type {BackupOptions, BackupState} from '../../src/lib/procedures/backup/options.ts'
import {BackupWork} from '../../src/lib/procedures/backup/work.ts'
import {createRun} from '../../src/lib/procedures/runs.ts'
import {newLabel} from '../../src/lib/repository/label.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Renderer, StepView} from '../../src/lib/runbook/stage.ts'
import {systemClock} from '../../src/lib/system/clock.ts'
import {clientTools} from './tools.ts'

export interface BackupSetting {
  url: string
  /** Holds the repository, staging and the run's folder. */
  directory: string
  /** Else one local repository below `directory`. */
  storages?: readonly Storage[]
  toolsMajor?: 17 | 18
  backup?: Partial<Config['backup']>
  environment?: Config['environment']
  digest?: boolean
  accept?: boolean
  compress?: string
  jobs?: number
  signal?: AbortSignal
  /** Else `.staging` in the local repository. */
  stagingRoot?: string
  newLabel?: () => string
  beforeStatement?: (statement: string) => Promise<void>
  onNotice?: (text: string) => void
  onStep?: (id: string) => void
  instance?: BackupOptions['instance']
}

export interface BackupOutcome {
  state: BackupState
  notices: string[]
  error?: Error & {code?: string; exitCode?: number}
}

export const temporaryFolder = (name: string) => mkdtemp(join(tmpdir(), `dr-${name}-`))

export const localRepository = (directory: string) => new LocalStorage(join(directory, 'backups'))

let lastLabelled = 0

/** Two backups of one second have no order; a test takes several in one. */
function laterLabel(): string {
  lastLabelled = Math.max(Date.now(), lastLabelled + 1000)
  return newLabel(new Date(lastLabelled))
}

/** Performs a whole backup in this process, as the command does, and says how it ended. */
export async function runBackup(setting: BackupSetting): Promise<BackupOutcome> {
  const {directory, toolsMajor = 18} = setting
  const loaded = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory, flags: {environment: setting.environment}})
  const toolsDirectory = await clientTools(toolsMajor)
  const tools = await findTools(toolsDirectory)
  const config: Config = {...loaded.config, backup: {...loaded.config.backup, ...setting.backup}, tools: {directory: toolsDirectory}}
  const run = await createRun(directory)
  const options: BackupOptions = {
    config, tools, target: parseTarget(setting.url), storages: setting.storages ?? [localRepository(directory)], runDirectory: run.directory,
    stagingRoot: setting.stagingRoot ?? join(directory, 'backups', '.staging'), drVersion: 'test', digest: setting.digest ?? false, accept: setting.accept ?? false, env: {ENCRYPTION_KEY: 'k'.repeat(32)},
    ...(setting.compress !== undefined && {compress: setting.compress}), ...(setting.beforeStatement && {beforeStatement: setting.beforeStatement}),
    newLabel: setting.newLabel ?? laterLabel, ...(setting.instance && {instance: setting.instance}),
  }
  const [newest] = tools
  if (newest === undefined) throw new Error('no tools')
  const work = new BackupWork(options, run)
  const state = backupState(options, {tools: newest, compression: 'zstd:1', jobs: dumpJobs(setting.jobs, 2)})
  const notices: string[] = []
  const renderer = collecting(setting, notices)
  const journal = {run: 'test', path: '', write: () => Promise.resolve(), close: () => Promise.resolve()}
  try {
    await perform(backupProcedure(options, work), state, {
      clock: systemClock, gatekeeper: {check() {}, pass: () => Promise.resolve('')}, journal, renderer, signal: setting.signal ?? new AbortController().signal,
    })
    return {state, notices}
  } catch (error) {
    return {state, notices, error: error as Error}
  } finally {
    await work.close()
  }
}

function collecting({onNotice, onStep}: BackupSetting, notices: string[]): Renderer {
  const view = (id: string): StepView => ({
    start() { onStep?.(id) }, progress() {}, skip() {}, done() {}, fail() {},
    notice(text) {
      notices.push(text)
      onNotice?.(text)
    },
  })
  return {phase: () => ({step: view, notice() {}, close: () => Promise.resolve()})}
}

/** Every key below a storage's root; none where the folder was never made. */
export async function keysOf(storage: Storage, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  if (storage.kind === 'local' && !existsSync(storage.location)) return keys
  for await (const {key} of storage.list(prefix)) keys.push(key)
  return keys
}

export const removeFolder = (directory: string) => rm(directory, {recursive: true, force: true})

/** A storage that is lost at keys of one's choice. */
export function failing(storage: Storage, at: (key: string) => boolean): Storage {
  const lost = () => Promise.reject(unreachableError('storage.unreachable', 'lost'))
  return new Proxy(storage, {
    get(inner, name) {
      const value: unknown = Reflect.get(inner, name, inner)
      if (typeof value !== 'function') return value
      const method = value as (...args: unknown[]) => unknown
      return (...args: unknown[]) => ((name === 'put' || name === 'putFile') && at(String(args[0])) ? lost() : method.apply(inner, args))
    },
  })
}
