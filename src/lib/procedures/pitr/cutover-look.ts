import type {Finding} from '../../checks/finding.ts'
import {DrError, preflightError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {frozenDatabases, planFreeze} from '../../postgres/freeze.ts'
import {targetUrl, type Target} from '../../postgres/target.ts'
import type {DBInstance} from '../../rds/api.ts'
import {marksOf} from '../../rds/tags.ts'
import {writtenIn} from '../../report/written.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {assertTakesWrites} from './copy-frozen.ts'
import {assertNoOther} from './cutover-claim.ts'
import {aboutProof, assertCopy, assertNothingPending, assertOld, compareSettings, copyMeant} from './cutover-checks.ts'
import {otherDatabases} from './cutover-databases.ts'
import {countParty, lossOf, withLacking, type Counted} from './cutover-facts.ts'
import {byResource, partyFrom} from './cutover-instances.ts'
import {freezeList, frozenRunOf, frozenTag} from './cutover-marks.ts'
import {partyOf, type CutoverOptions, type CutoverState} from './cutover-options.ts'
import {aboutProxies} from './cutover-proxies.ts'
import {notedFork, openAtFork, partingOf, readFork, type Fork} from './fork.ts'
import {assertNotReplaced} from './replaced.ts'
import {targetAt} from './target.ts'
import {noInstance} from './vacant.ts'

export const APPLICATION = 'dr pitr cutover'

export function lookSteps(options: CutoverOptions): Step<CutoverState>[] {
  return [instancesStep(options), databasesStep(options)]
}

function instancesStep(options: CutoverOptions): Step<CutoverState> {
  const {api, name} = options
  return {
    id: 'cutover.instances',
    title: `Look at ${name} and at what is to take its place`,
    effect: 'read',
    byHand: () => [{argv: ['aws', 'rds', 'describe-db-instances']}],
    async run(state, io) {
      state.findings = []
      const all = await api.instances(io.signal)
      const old = all.find(({DBInstanceIdentifier}) => DBInstanceIdentifier === name)
      if (old === undefined) throw noInstance(all, name)
      assertNoOther(all, name, io.run)
      assertNotReplaced(all, old, (by) => `--source ${by} cuts that one over.`)
      const copy = copyMeant(all, name, options.copy)
      assertCopy(copy, name)
      assertOld(old)
      if (!options.acceptPending) assertNothingPending([old, copy])
      if (all.some(({DBInstanceIdentifier}) => DBInstanceIdentifier === state.oldName)) throw preflightError('rds.exists', `There is an instance of that name already: ${state.oldName}.`, {hints: ['Run the command again: a new run takes a new name.']})
      await assertWay(options, all, old.DBInstanceIdentifier ?? '', io)
      state.findings.push(...await aboutProxies(options, copy.DBInstanceIdentifier ?? '', io))
      state.old = partyFrom(old)
      state.copy = partyFrom(copy)
      const {restoredTo} = marksOf(copy) ?? {}
      if (restoredTo !== undefined) state.restoredTo = restoredTo
      state.findings.push(...aboutProof(copy), ...compareSettings(old, copy))
      refuse(state.findings, options)
    },
  }
}

/** What the way needs besides the two instances. */
async function assertWay({mode, config, api, target}: CutoverOptions, all: readonly DBInstance[], old: string, {signal}: StepIo): Promise<void> {
  if (mode !== 'proxy') return
  const {proxy} = config.rds
  if (proxy === undefined) throw preflightError('config.rds-proxy', 'No RDS Proxy is named.', {hints: ['Set rds.proxy in dr.config.yaml, or DR_RDS_PROXY.', 'aws rds describe-db-proxies shows those that there are.']})
  const targets = (await api.proxyTargets(proxy, signal)).map(({RdsResourceId = ''}) => RdsResourceId)
  if (!targets.includes(old)) throw preflightError('pitr.proxy', `The proxy ${proxy} leads to ${targets.join(', ') || 'nothing'}, not to ${old}.`, {hints: ['Check rds.proxy and rds.instance; aws rds describe-db-proxy-targets shows what it leads to.']})
  const direct = all.find(({Endpoint}) => Endpoint?.Address?.toLowerCase() === target.host.toLowerCase() && Endpoint.Port === target.port)
  if (direct !== undefined) throw preflightError('pitr.proxy', `DATABASE_URL leads to ${direct.DBInstanceIdentifier ?? ''} itself (${target.host}:${target.port}), not through the proxy ${proxy}: nobody could see whom its clients reach.`, {hints: [`Set DATABASE_URL to the address of the proxy: aws rds describe-db-proxies --db-proxy-name ${proxy}`, 'Where clients do not come by the proxy: --mode rename, or url']})
}

function refuse(findings: readonly Finding[], {accept}: CutoverOptions): void {
  const errors = findings.filter(({severity}) => severity === 'error')
  if (errors.length === 0 || accept) return
  throw preflightError('pitr.settings', `${errors[0]?.subject ?? ''} is not what the old instance is: ${errors.map(({message}) => message).join('; ')}.`, {hints: [...new Set(errors.flatMap(({hint}) => hint ?? [])), '--accept takes it as it is.']})
}

function databasesStep(options: CutoverOptions): Step<CutoverState> {
  const {target} = options
  return {
    id: 'cutover.databases',
    title: 'Count what would be lost',
    effect: 'read',
    byHand: ({copy}) => [target, ...(copy ? [targetAt(target, copy, options)] : [])].map((one) => ({argv: ['psql', targetUrl(one), '-c', 'SELECT pg_current_wal_lsn(), pg_walfile_name(pg_current_wal_lsn())', '-c', 'SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY 1']})),
    async run(state, io) {
      const [old, copy] = [partyOf(state.old), partyOf(state.copy)]
      const at = targetAt(target, copy, options)
      const coming = await countParty(options, at, {applicationName: APPLICATION}, io)
      copy.facts = coming.facts
      state.findings.push(...await assertTakesWrites(options, state, io))
      await lookAtFreeze(options, state, io)
      const parting = await partingFrom(options, state, {restoredTo: state.restoredTo, newest: coming.facts.newest?.at}, io)
      const now = await oldParty(options, state, parting, io)
      if (now === undefined) return
      old.facts = now.facts
      state.loss = withLacking(lossOf(now.counts, coming.counts), coming.counts, now)
      if (writtenIn(state.loss) === undefined) state.lossUnknown = 'unknown' in parting ? parting.unknown : 'its rows do not tell'
      const {names, missing} = await otherDatabases(options, {goes: old, comes: copy}, APPLICATION)
      state.uncountedDatabases = names
      state.findings.push(...missing, ...aboutMarkers(state), ...aboutAddress(options, state))
    },
  }
}

/** Since when what the old one has is not in the copy. Its own parting is kept for its mark. */
async function partingFrom(options: CutoverOptions, state: CutoverState, about: Parameters<typeof readFork>[2], io: StepIo): Promise<Fork> {
  const {old, copy} = {old: partyOf(state.old), copy: partyOf(state.copy)}
  const all = await options.api.instances(io.signal)
  const [is, was] = [copy, old].map(({resourceId}) => all.find(({DbiResourceId}) => DbiResourceId === resourceId) ?? {})
  state.fork = notedFork(is ?? {}) ?? await readFork(targetAt(options.target, copy, options), copy.id, about, io)
  return partingOf(is ?? {}, was ?? {}, state.fork)
}

/** What the gate must not promise: writes that go on all the same. Throws what the tag would. */
async function lookAtFreeze(options: CutoverOptions, state: CutoverState, io: StepIo): Promise<void> {
  if (!options.freeze) return
  const old = partyOf(state.old)
  const {databases, already, notOurs, exempt, frozen} = await withClient(targetAt(options.target, old, options), {applicationName: APPLICATION}, async (client) => ({...await planFreeze(client), frozen: await frozenDatabases(client)}))
  const found = (await byResource(options, old.resourceId, io.signal)) ?? {}
  const list = freezeList({open: databases, frozen}, found)
  frozenTag(list, io.run)
  const byWhom = (name: string) => (list.kept.includes(name) ? 'and not by dr: it stays so' : `by the run ${frozenRunOf(found) ?? 'of an earlier cut-over'}`)
  state.stops = databases.map(({name}) => name)
  state.findings.push(
    ...notOurs.map((name): Finding => ({code: 'pitr.not-stopped', severity: 'warning', subject: name, message: 'its writes cannot be stopped: this role does not own the database; what is written to it meanwhile is lost'})),
    ...exempt.map((role): Finding => ({code: 'pitr.not-stopped', severity: 'warning', subject: role, message: 'this role may write all the same: it has default_transaction_read_only = off'})),
    ...already.map((name): Finding => ({code: 'pitr.read-only', severity: 'warning', subject: name, message: `is read-only already, ${byWhom(name)}`})),
  )
}

/** An old one that cannot be reached any more is no hindrance unless something is to be done in it. */
async function oldParty(options: CutoverOptions, state: CutoverState, parting: Fork, io: StepIo): Promise<Counted & {complete: boolean} | undefined> {
  try {
    const [at, copy] = [state.old, state.copy].map((party) => targetAt(options.target, partyOf(party), options)) as [Target, Target]
    const open = await openAtFork(copy, at, parting)
    return {...await countParty(options, at, {applicationName: APPLICATION, sinceXid: 'xid' in parting ? parting.xid : undefined, alsoXids: open.xids}, io), complete: open.complete}
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError) || options.freeze) throw error
    state.findings.push({code: 'pitr.old-unreachable', severity: 'warning', subject: state.name, message: `cannot be looked into: ${error.message.replace(/\.$/, '')}`})
    return undefined
  }
}

function aboutMarkers({old, copy}: CutoverState): Finding[] {
  const [was, is] = [old?.facts, copy?.facts]
  if (was === undefined || is === undefined) return []
  if (was.systemIdentifier !== undefined && is.systemIdentifier !== undefined && was.systemIdentifier !== is.systemIdentifier) return [{code: 'pitr.other-cluster', severity: 'warning', subject: copy?.id ?? '', message: 'has another system identifier than the old instance: it is no physical copy of it'}]
  return was.timeline === is.timeline ? [{code: 'pitr.same-timeline', severity: 'warning', subject: copy?.id ?? '', message: 'is on the same timeline as the old instance: afterwards only AWS can say which of the two answers'}] : []
}

/** As AWS names the addresses of its proxies. */
const isProxy = (host: string): boolean => /\.proxy-\w+\.[\w-]+\.rds\.amazonaws\.com(\.cn)?$/i.test(host)

function aboutAddress({target, mode}: CutoverOptions, {old}: CutoverState): Finding[] {
  if (old === undefined) return []
  if (mode === 'proxy') return isProxy(target.host) ? [] : [{code: 'pitr.address', severity: 'warning', subject: old.id, message: `that ${target.host}:${target.port} (DATABASE_URL) leads to it through the proxy is not known here: where it does not, all is taken back`}]
  if ( (target.host.toLowerCase() === old.host.toLowerCase() && target.port === old.port)) return []
  return [{code: 'pitr.address', severity: 'warning', subject: old.id, message: `DATABASE_URL leads to ${target.host}:${target.port}, and the instance is ${old.host}:${old.port}: whether clients follow depends on what is between them`}]
}
