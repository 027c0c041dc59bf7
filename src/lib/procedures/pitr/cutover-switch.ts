import {DrError, preflightError} from '../../errors.ts'
import {assertNotEnded} from '../../rds/poller.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import {redact} from '../../system/redact.ts'
import {runTool} from '../../system/tool.ts'
import {assertClaim, isTakenBack} from './cutover-claim.ts'
import {leftOrThrown, MINUTE_MS, untilSo} from './cutover-instances.ts'
import {partyOf, type CutoverOptions, type CutoverState, type Party} from './cutover-options.ts'
import {rename, renameBack} from './cutover-rename.ts'

/** The steps after which clients reach the copy. */
export function switchSteps(options: CutoverOptions): Step<CutoverState>[] {
  if (options.mode === 'rename') return [renameOldStep(options), renameNewStep(options)]
  return [options.mode === 'proxy' ? proxyStep(options) : urlStep(options)]
}

const awsRename = (from: string, to: string): ManualCommand => ({argv: ['aws', 'rds', 'modify-db-instance', '--db-instance-identifier', from, '--new-db-instance-identifier', to, '--apply-immediately']})

function renameOldStep(options: CutoverOptions): Step<CutoverState> {
  return {
    id: 'cutover.rename-old',
    title: `Rename ${options.name} out of the way`,
    effect: 'destroy',
    byHand: ({name, oldName}) => [awsRename(name, oldName)],
    async run(state, io) {
      const {old, name, oldName} = state
      const {resourceId} = partyOf(old)
      await assertClaim(options, state, io)
      state.awayAt ??= new Date().toISOString()
      await rename(options, {resourceId, from: name, to: oldName}, io).catch((error: unknown) => { throw leftOrThrown(error, io) })
      io.notice(`There is no ${name} now; the old instance is ${oldName}.`)
    },
    async undo(state, io) {
      const {old, name} = state
      if (await isTakenBack(options, state, io)) return
      await renameBack(options, {resourceId: partyOf(old).resourceId, to: name}, io)
      io.notice(`${name} is the old instance again.`)
    },
  }
}

function renameNewStep(options: CutoverOptions): Step<CutoverState> {
  return {
    id: 'cutover.rename-new',
    title: 'Give its name to the copy',
    effect: 'destroy',
    byHand: ({name, copy}) => [awsRename(copy?.id ?? 'COPY', name)],
    async run(state, io) {
      const {resourceId, id} = partyOf(state.copy)
      await assertClaim(options, state, io)
      await rename(options, {resourceId, from: id, to: state.name}, io).catch((error: unknown) => { throw leftOrThrown(error, io) })
      if (state.awayAt !== undefined) state.outageMs = Date.now() - Date.parse(state.awayAt)
      state.cutOver = true
      state.reached = true
    },
    async undo(state, io) {
      const {resourceId, id} = partyOf(state.copy)
      if (!(await isTakenBack(options, state, io))) await renameBack(options, {resourceId, to: id}, io)
      state.cutOver = false
    },
  }
}

const PROXY_BUDGET_MS = 15 * MINUTE_MS

export function proxyCommands(proxy: string, out: string, into: string): ManualCommand[] {
  const on = (action: string, id: string) => ({argv: ['aws', 'rds', action, '--db-proxy-name', proxy, '--db-instance-identifiers', id]})
  return [on('deregister-db-proxy-targets', out), on('register-db-proxy-targets', into), {argv: ['aws', 'rds', 'describe-db-proxy-targets', '--db-proxy-name', proxy], note: 'until it is AVAILABLE'}]
}

/** Has the proxy lead to one instance and to no other. Repeatable. */
export async function leadProxy(options: Pick<CutoverOptions, 'api' | 'config' | 'clock'>, into: string, io: StepIo): Promise<void> {
  const {api, config: {rds: {proxy}}} = options
  if (proxy === undefined) throw preflightError('config.rds-proxy', 'No RDS Proxy is named.', {hints: ['Set rds.proxy in dr.config.yaml, or DR_RDS_PROXY.']})
  const targets = await api.proxyTargets(proxy, io.signal)
  // One target is all that a proxy takes.
  for (const {RdsResourceId: id = ''} of targets) if (id !== into) await api.removeProxyTarget(proxy, id, io.signal)
  if (!targets.some(({RdsResourceId}) => RdsResourceId === into)) await api.addProxyTarget(proxy, into, io.signal)
  await untilSo(options, {
    budgetMs: PROXY_BUDGET_MS, what: `The proxy ${proxy} did not lead to ${into}`,
    look: async () => {
      const found = (await api.proxyTargets(proxy, io.signal)).filter(({RdsResourceId}) => RdsResourceId === into)
      const state = found[0]?.TargetHealth?.State
      io.progress(`${into}: ${state ?? 'not registered yet'}`)
      if (state === 'AVAILABLE') return true
      assertNotEnded(await api.instance(into, io.signal))
      return undefined
    },
  }, io)
}

function proxyStep(options: CutoverOptions): Step<CutoverState> {
  return {
    id: 'cutover.proxy',
    title: `Have the proxy ${options.config.rds.proxy ?? ''} lead to the copy`,
    effect: 'destroy',
    byHand: ({name, copy}) => proxyCommands(options.config.rds.proxy ?? 'PROXY', name, copy?.id ?? 'COPY'),
    async run(state, io) {
      await assertClaim(options, state, io)
      await leadProxy(options, partyOf(state.copy).id, io).catch((error: unknown) => { throw leftOrThrown(error, io) })
      state.cutOver = true
      state.reached = true
    },
    async undo(state, io) {
      if (!(await isTakenBack(options, state, io))) await leadProxy(options, partyOf(state.old).id, io)
      state.cutOver = false
    },
  }
}

/** With the address of an instance in place of `{host}`, `{port}` and `{instance}`. */
export function switchCommand(command: readonly string[], {host, port, id}: Pick<Party, 'host' | 'port' | 'id'>): string[] {
  const values: Readonly<Record<string, string>> = {host, port: String(port), instance: id}
  return command.map((word) => word.replaceAll(/\{(host|port|instance)\}/g, (_, name: string) => values[name] ?? ''))
}

/** Runs the configured command, or says what is to be done where there is none: then it resolves to false. */
export async function pointAt(options: Pick<CutoverOptions, 'config' | 'target'>, party: Pick<Party, 'host' | 'port' | 'id'>, io: StepIo): Promise<boolean> {
  const [program, ...args] = switchCommand(options.config.rds.switchCommand ?? [], party)
  if (program === undefined) {
    io.notice(`Point the application at ${party.host}:${party.port} now (DATABASE_URL; user, password and database stay), and restart it. rds.switchCommand does it by itself.`)
    return false
  }
  const {code, stdout, stderr} = await runTool([program, ...args], {signal: io.signal, onStderrLine: (line) => { io.progress(redact(line)) }})
  for (const line of [...stdout.split('\n'), ...stderr].filter((one) => one.trim() !== '').slice(-SHOWN_LINES)) io.notice(redact(line))
  if (code !== 0) throw new DrError('pitr.switch-failed', `The command that switches the address failed with exit code ${code}: ${program}`, {hints: ['What it said stands above; rds.switchCommand names it.']})
  return true
}

const SHOWN_LINES = 20

function urlStep(options: CutoverOptions): Step<CutoverState> {
  return {
    id: 'cutover.url',
    title: 'Point the application at the copy',
    effect: 'destroy',
    byHand: ({copy}) => (options.config.rds.switchCommand && copy ? [{argv: switchCommand(options.config.rds.switchCommand, copy)}] : []),
    async run(state, io) {
      await assertClaim(options, state, io)
      state.byHand = !(await pointAt(options, partyOf(state.copy), io))
      state.cutOver = true
      state.reached = true
    },
    async undo(state, io) {
      if (!(await isTakenBack(options, state, io))) await pointAt(options, partyOf(state.old), io)
      state.cutOver = false
    },
  }
}
