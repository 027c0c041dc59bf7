import {RDSClient} from '@aws-sdk/client-rds'
import {setTimeout as pause} from 'node:timers/promises'
import {loadConfig} from '../../src/lib/config/load.ts'
import {rowOf, rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {parseTarget, type Target} from '../../src/lib/postgres/target.ts'
import {cutoverProcedure, cutoverState} from '../../src/lib/procedures/pitr/cutover.ts'
import type {CutoverOptions, CutoverState} from '../../src/lib/procedures/pitr/cutover-options.ts'
import {rollbackProcedure, rollbackState} from '../../src/lib/procedures/pitr/rollback.ts'
import type {RollbackOptions, RollbackState} from '../../src/lib/procedures/pitr/rollback-options.ts'
import {RdsApi} from '../../src/lib/rds/api.ts'
import type {Clock} from '../../src/lib/rds/poller.ts'
import {planRestore} from '../../src/lib/rds/restore-plan.ts'
import type {JournalEntry} from '../../src/lib/runbook/journal.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Procedure} from '../../src/lib/runbook/procedure.ts'
import {replay} from '../../src/lib/runbook/replay.ts'
import type {Stage} from '../../src/lib/runbook/stage.ts'
import type {Instance} from '../../src/lib/sandbox/rds/instance.ts'
import {removeFolder, temporaryFolder} from './backup.ts'
import {HarmWatch} from './harm-watch.ts'
import {rdsCredentials, testRds, type TestRds} from './rds-server.ts'
import {testStage} from './stage.ts'
import {until} from './until.ts'

export const NAME = 'crm-prod'
export const COPY = 'crm-prod-pitr'
const PASSWORD = 'm%40ster'
const signal = new AbortController().signal

/** Its pauses are short: the emulator's time is, too. */
const quickClock: Clock = {now: () => performance.now(), pause: (ms, stop) => pause(Math.min(ms, 10), undefined, {signal: stop}), random: () => 0.5}

export interface Ran<S> {
  state: S
  seen: string[]
  entries: JournalEntry[]
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

/** An instance with rows, a copy of it as of an instant, and rows that were written since. Call `open` before the tests. */
export class CutoverFixture {
  aws!: TestRds
  api!: RdsApi
  home = ''
  old!: Instance
  copy!: Instance
  /** Of the production instance, as a master user knows it who is no superuser. */
  url = ''
  /** Where nobody sets it: here looks are closer together. */
  usualPollSeconds = 0
  #watch: HarmWatch | undefined
  #settings: [Instance['settings'], Instance['settings']] | undefined
  #config: CutoverOptions['config'] | undefined

  /** `watched`: `harm` tells what must not be done; there is a third instance then. */
  async open({millisecondsPerSecond = 0.5, watched = false} = {}): Promise<void> {
    this.home = await temporaryFolder('cutover')
    this.aws = await testRds({millisecondsPerSecond})
    const {region} = this.aws.server
    region.parameterGroups.set('crm17', {})
    this.old = await region.create(NAME, {BackupRetentionPeriod: 7, DeletionProtection: true, VpcSecurityGroupIds: ['sg-app'], DBParameterGroupName: 'crm17', PubliclyAccessible: false, TagList: [{Key: 'team', Value: 'crm'}]})
    const admin = new URL(this.aws.url(this.old))
    await withClient(admin.href, {}, async (client) => {
      await client.query(`CREATE ROLE master LOGIN CREATEDB CREATEROLE PASSWORD 'm@ster'; GRANT pg_signal_backend, pg_read_all_stats TO master; CREATE ROLE app LOGIN PASSWORD 'app'; GRANT app TO master`)
      await client.query('CREATE DATABASE crm OWNER master')
    })
    this.url = `postgresql://master:${PASSWORD}@127.0.0.1:${this.old.port}/crm`
    await withClient(this.url, {}, (client) => client.query(`CREATE TABLE calls (id serial PRIMARY KEY, note text, "createdAt" timestamptz DEFAULT now()); CREATE TABLE deals (id serial PRIMARY KEY, title text);
      INSERT INTO calls (note) SELECT 'rightful' FROM generate_series(1, 300); INSERT INTO deals (title) SELECT 'deal' FROM generate_series(1, 50); GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app`))
    this.api = new RdsApi({}, new RDSClient({region: 'us-east-1', endpoint: this.aws.server.endpoint, credentials: rdsCredentials, maxAttempts: 2}))
    await this.old.archive()
    this.copy = await this.restored(COPY)
    await withClient(this.url, {}, (client) => client.query("UPDATE calls SET note = 'spoiled' WHERE id <= 40; INSERT INTO calls (note) SELECT 'later' FROM generate_series(1, 7); DELETE FROM deals WHERE id > 45"))
    if (watched) this.#watch = new HarmWatch(this.aws.server, [this.old, this.copy])
    this.keepSettings()
    const {config} = await loadConfig({env: {}, cwd: this.home, configDir: this.home, dataDir: this.home, flags: {environment: 'production', 'rds.instance': NAME}})
    this.usualPollSeconds = config.rds.pollSeconds
    this.#config = {...config, rds: {...config.rds, pollSeconds: 0.05}}
  }

  /** A copy of the production instance as it is now, ready. */
  async restored(id: string, purpose: 'primary' | 'side' = 'primary'): Promise<Instance> {
    const source = await this.api.instance(NAME, signal)
    await this.api.restore(planRestore(source ?? {}, {target: id, to: undefined, purpose, runId: `run-of-${id}`}).request, signal)
    const instance = this.aws.server.region.find(id)
    await until(() => instance.timeline.isQuiet, 60_000)
    return instance
  }

  /** From now on a reset brings back what is set now. */
  keepSettings(): void {
    this.#settings = [this.old.settings, this.copy.settings]
  }

  /** Everything is called what it was at the beginning, with its first settings. */
  async reset(): Promise<void> {
    const {region} = this.aws.server
    this.aws.server.faults.clear()
    const pair = [this.old, this.copy]
    for (const one of pair) await until(() => one.timeline.isQuiet, 60_000)
    for (const [index, one] of pair.entries()) if (one.id !== [NAME, COPY][index]) await region.rename(one, `free-${index}`)
    for (const [index, one] of pair.entries()) {
      const name = [NAME, COPY][index] ?? ''
      if (one.id !== name) await region.rename(one, name)
      one.settings = this.#settings?.[index] ?? one.settings
      one.timeline.set('available')
    }
    for (const one of pair) await withClient(this.aws.url(one), {}, (client) => client.query('ALTER DATABASE crm RESET default_transaction_read_only; ALTER DATABASE postgres RESET default_transaction_read_only'))
    region.snapshots.clear()
    this.#watch?.begin()
  }

  async close(): Promise<void> {
    this.api.close()
    await this.aws.close()
    await removeFolder(this.home)
  }

  /** For dr in this process. */
  useEnvironment(): () => void {
    const before = {...process.env}
    Object.assign(process.env, {
      AWS_ACCESS_KEY_ID: rdsCredentials.accessKeyId, AWS_SECRET_ACCESS_KEY: rdsCredentials.secretAccessKey, AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL_RDS: this.aws.server.endpoint, DATABASE_URL: this.url,
      DR_DATA_DIR: this.home, DR_CONFIG_DIR: this.home, DR_ENVIRONMENT: 'production', DR_RDS_INSTANCE: NAME, DR_RDS_POLL_SECONDS: '0.05',
    })
    return () => { process.env = before }
  }

  options(more: Partial<CutoverOptions> = {}): CutoverOptions {
    const config = this.#config
    if (config === undefined) throw new Error('open was not called')
    return {config, api: this.api, clock: quickClock, target: this.target(), name: NAME, mode: 'rename', freeze: true, snapshot: true, acceptPending: false, accept: false, keepFrozen: false, ...more}
  }

  target(): Target {
    return parseTarget(this.url)
  }

  cutover(more: Partial<CutoverOptions> = {}, stage: Partial<Stage> = {}): Promise<Ran<CutoverState>> {
    const options = this.options(more)
    return this.run(cutoverProcedure(options), cutoverState(options, new Date()), stage)
  }

  rollback(more: Partial<RollbackOptions> = {}, stage: Partial<Stage> = {}): Promise<Ran<RollbackState>> {
    const options: RollbackOptions = {...this.options(), journals: this.home, ...more}
    return this.run(rollbackProcedure(options), rollbackState(options, new Date()), stage)
  }

  /** Goes on with a run of which only the journal is left. */
  async resumed(entries: readonly JournalEntry[], more: Partial<CutoverOptions> = {}): Promise<Ran<CutoverState>> {
    const {state, ...earlier} = replay<CutoverState>(entries)
    return this.run(cutoverProcedure(this.options(more)), state, {}, earlier)
  }

  async run<S extends object>(procedure: Procedure<S>, state: S, more: Partial<Stage>, earlier?: Parameters<typeof perform>[3]): Promise<Ran<S>> {
    const {stage, seen, entries} = testStage(more)
    try {
      await perform(procedure, state, stage, earlier)
      return {state, seen, entries}
    } catch (error) {
      return {state, seen, entries, error: error as Error}
    }
  }

  /** What was done since the last reset that must not be; empty when all is well. */
  harm(): string[] {
    return this.watched.harm()
  }

  get watched(): HarmWatch {
    if (this.#watch === undefined) throw new Error('Nobody watches')
    return this.#watch
  }

  /** Who holds which name. */
  names(): Record<string, string> {
    return Object.fromEntries([...this.aws.server.region.instances].filter(([, one]) => one !== this.#watch?.bystander).map(([name, one]) => [name, one === this.old ? 'old' : one === this.copy ? 'copy' : 'other']))
  }

  /** Of all rows, in one value. */
  digest(instance: Instance): Promise<string> {
    return withClient(this.aws.url(instance, 'crm'), {}, async (client) => (await rowOf<{digest: string}>(client, "SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM calls t) || (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM deals t) AS digest")).digest)
  }

  /** Databases of the instance that take no writes. */
  async frozen(instance: Instance): Promise<string[]> {
    return (await withClient(this.aws.url(instance), {}, (client) => rowsOf<{name: string}>(client, "SELECT d.datname AS name FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE 'default_transaction_read_only=on' = ANY (s.setconfig) ORDER BY 1"))).map(({name}) => name)
  }

  tags(instance: Instance): Record<string, string> {
    return Object.fromEntries(instance.settings.TagList.map(({Key, Value}) => [Key, Value]))
  }
}

const CHANGING = ['addTags', 'removeTags', 'modify', 'snapshot', 'remove', 'addProxyTarget', 'removeProxyTarget']
const never = new Promise<never>(() => {})

export interface Watched {
  api: RdsApi
  /** The calls that change something, by name, in their order. */
  calls: string[]
  /** Resolves when the call is reached that kills. */
  reached: Promise<void>
}

type Call = (...given: unknown[]) => Promise<unknown>

/** The API with something around each call that changes something; they are numbered from 0. */
function around(api: RdsApi, work: (name: string, number: number, call: () => Promise<unknown>) => Promise<unknown>): RdsApi {
  let number = 0
  return new Proxy(api, {get(target, property) {
    const method = Reflect.get(target, property) as unknown
    if (typeof method !== 'function') return method
    if (!CHANGING.includes(String(property))) return (method as () => unknown).bind(target)
    return (...args: unknown[]) => work(String(property), number++, () => (method as Call).apply(target, args))
  }})
}

/** The API as a process sees it that dies at the call of this number among those that change something: it never hears of the reply. */
export function dyingAt(api: RdsApi, number: number, when: 'before' | 'after'): Watched {
  const calls: string[] = []
  let tell = () => {}
  const reached = new Promise<void>((resolve) => { tell = resolve })
  return {calls, reached, api: around(api, async (name, at, call) => {
    calls.push(name)
    if (at !== number) return call()
    if (when === 'after') await call()
    tell()
    return never
  })}
}

const ACTIONS: Readonly<Record<string, string>> = {modify: 'ModifyDBInstance', removeTags: 'RemoveTagsFromResource', addTags: 'AddTagsToResource', addProxyTarget: 'RegisterDBProxyTargets', removeProxyTarget: 'DeregisterDBProxyTargets'}

/** The API whose call of this number is refused, and every other one of its kind after it, until the faults are cleared. */
export function refusedAt({api, aws}: CutoverFixture, number: number, code: string): {api: RdsApi; met: () => string | undefined} {
  let met: string | undefined
  return {met: () => met, api: around(api, (name, at, call) => {
    if (at === number) {
      met = name
      aws.server.faults.add({match: {action: ACTIONS[name] ?? name}, times: 1000, action: {code}})
    }
    return call()
  })}
}

/** A stage whose process dies when this step has done all its work, before the journal says so. */
export function dyingBehind(step: string): {stage: Partial<Stage>; entries: JournalEntry[]; reached: Promise<void>} {
  const {stage, entries} = testStage()
  let tell = () => {}
  const reached = new Promise<void>((resolve) => { tell = resolve })
  const {journal} = stage
  return {entries, reached, stage: {journal: {...journal, write(entry) {
    if (entry.event !== 'done' || entry.step !== step) return journal.write(entry)
    tell()
    return never
  }}}}
}
