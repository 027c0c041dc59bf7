import {RDSClient} from '@aws-sdk/client-rds'
import type {Config} from '../../src/lib/config/config.ts'
import {loadConfig} from '../../src/lib/config/load.ts'
import {withClient, type Client} from '../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import {recoveryProcedure, recoveryState} from '../../src/lib/procedures/pitr/index.ts'
import type {RecoveryOptions, RecoveryState, RecoveryWish} from '../../src/lib/procedures/pitr/recover-options.ts'
import {RdsApi} from '../../src/lib/rds/api.ts'
import {perform, type Earlier} from '../../src/lib/runbook/perform.ts'
import type {Journal, JournalEntry} from '../../src/lib/runbook/journal.ts'
import type {Stage} from '../../src/lib/runbook/stage.ts'
import type {Instance} from '../../src/lib/sandbox/rds/instance.ts'
import type {Settings} from '../../src/lib/sandbox/rds/settings.ts'
import {systemClock} from '../../src/lib/system/clock.ts'
import {rdsCredentials, testRds, type TestRds} from './rds-server.ts'
import {openGates, testStage} from './stage.ts'
import {until} from './until.ts'

/** Milliseconds that a second of AWS takes in its emulator. */
export const RECOVERY_PACE = 0.5

export interface Recovering {
  wish?: Partial<RecoveryWish>
  options?: Partial<RecoveryOptions>
  /** Name of the run. */
  run?: string
  signal?: AbortSignal
  /** Called before a step begins. */
  onStep?: (id: string) => void
  onNotice?: (text: string) => void
  gatekeeper?: Stage['gatekeeper']
  /** Goes on with it. */
  earlier?: Earlier & {state: RecoveryState}
}

export interface Recovered {
  state: RecoveryState
  notices: string[]
  entries: JournalEntry[]
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

/** An emulated region with one instance `crm`, and recoveries of it in this process. For one suite. */
export class RecoveryFixture {
  aws!: TestRds
  source!: Instance
  /** Of the source, also when it is gone. */
  url = ''
  config!: Config
  api!: RdsApi
  /** Where nobody sets it: here looks are closer together. */
  usualPollSeconds = 0
  #runs = 0

  async open(settings: Partial<Settings> = {}, prepare: (aws: TestRds) => void = () => {}): Promise<void> {
    this.aws = await testRds({millisecondsPerSecond: RECOVERY_PACE})
    prepare(this.aws)
    this.source = await this.aws.server.region.create('crm', settings)
    this.url = this.aws.url(this.source)
    const place = {region: 'us-east-1', endpoint: this.aws.server.endpoint}
    this.api = new RdsApi(place, new RDSClient({...place, credentials: rdsCredentials, maxAttempts: 2}))
    const {config} = await loadConfig({env: {}, cwd: '/tmp', configDir: '/tmp', dataDir: '/tmp', flags: {environment: 'staging'}})
    this.usualPollSeconds = config.rds.pollSeconds
    this.config = {...config, rds: {...config.rds, ...place, instance: 'crm', pollSeconds: 0.05}}
  }

  async close(): Promise<void> {
    this.api.close()
    await this.aws.close()
  }

  sql<T>(work: (client: Client) => Promise<T>, instance = this.source): Promise<T> {
    return withClient(this.aws.url(instance), {}, work)
  }

  /** Waits until what is committed now can be restored; resolves to an instant after it. */
  async archived(at = new Date()): Promise<Date> {
    await until(() => (this.source.restorableTo ?? new Date(0)) > at, 60_000)
    return at
  }

  wish(more: Partial<RecoveryWish> = {}): RecoveryWish {
    return {source: {instance: 'crm'}, to: null, choice: {purpose: 'primary'}, ...more}
  }

  options({wish, options}: Recovering = {}): RecoveryOptions {
    return {
      config: this.config, api: this.api, now: () => new Date(), wish: this.wish(wish), proof: {database: parseTarget(this.url), storages: [], jobs: 2},
      clock: {now: () => performance.now(), random: () => 0.5, pause: (ms, signal) => new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, Math.min(ms, 50))
        signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason as Error) }, {once: true})
      })},
      ...options,
    }
  }

  async recover(setting: Recovering = {}): Promise<Recovered> {
    const options = this.options(setting)
    const [state, notices] = [structuredClone(setting.earlier?.state ?? recoveryState(options)), [] as string[]]
    const {stage, entries} = testStage()
    const journal: Journal = {...stage.journal, run: setting.run ?? `run-${++this.#runs}`}
    const view = (id: string) => ({start() { setting.onStep?.(id) }, progress() {}, skip() {}, done() {}, fail() {}, notice(text: string) { notices.push(text); setting.onNotice?.(text) }})
    const renderer = {phase: () => ({step: view, notice(text: string) { notices.push(text) }, close: () => Promise.resolve()})}
    try {
      await perform(recoveryProcedure(options), state, {clock: systemClock, gatekeeper: setting.gatekeeper ?? openGates, journal, renderer, signal: setting.signal ?? new AbortController().signal}, setting.earlier)
      return {state, notices, entries}
    } catch (error) {
      return {state, notices, entries, error: error as Error}
    }
  }

  /** The instance of this name; fails without one. */
  instance(name: string): Instance {
    return this.aws.server.region.find(name)
  }

  /** Ends it and its cluster, whatever it is protected by. */
  async remove(name: string): Promise<void> {
    const instance = this.aws.server.region.instances.get(name)
    if (!instance) return
    await instance.timeline.close()
    await instance.cluster?.stop()
    this.aws.server.region.endpoints.cut(name)
    this.aws.server.region.instances.delete(name)
  }
}
