import type {Finding} from '../../checks/finding.ts'
import {compareRecovered, type RecoveredFacts, type RecoveredReference} from '../../checks/recovered.ts'
import {DrError} from '../../errors.ts'
import {targetUrl, type Target} from '../../postgres/target.ts'
import type {Tag} from '../../rds/api.ts'
import {tagsOfProof} from '../../rds/tags.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {frozenFindings} from './copy-frozen.ts'
import {backupReference, liveReference, nearestManifest, readSide} from './facts.ts'
import {forkTags, notedFork, readFork} from './fork.ts'
import {copyOf, type RecoveryOptions, type RecoveryState} from './recover-options.ts'
import {isRds, targetAt} from './target.ts'
import {isVacant} from './vacant.ts'

const APPLICATION = 'dr pitr'
/** All rows have just been counted: they are read once more. */
const FORK_BUDGET_MS = 120_000

/** Compares the copy with the source, or with the manifest nearest to the instant. Deviations are findings: the copy stays. */
export function proveStep(options: RecoveryOptions): Step<RecoveryState> {
  const {proof: {database}} = options
  return {
    id: 'pitr.prove',
    title: 'Compare with the source',
    effect: 'read',
    byHand: ({copy}) => (database === undefined ? [] : [{argv: ['psql', targetUrl(targetAt(database, copy ?? {}, options))], note: copy?.host === undefined ? 'at the address of the copy' : 'look at the newest rows'}]),
    async run(state, io) {
      await noteVacancy(options, state, io)
      if (database === undefined) {
        state.findings = [{code: 'pitr.unproven', severity: 'warning', subject: '', message: 'no database is configured, so nothing in the copy was looked at', hint: `Set DATABASE_URL, then: dr pitr resume ${copyOf(state).instance}`}]
        return
      }
      const target = targetAt(database, copyOf(state), options)
      const copy = await readSide(target, reading(options, io, `the copy ${copyOf(state).instance}`))
      const reference = await referenceOf(options, database, state, io)
      const at = new Date(state.to ?? state.asked?.at ?? options.now())
      state.findings = [...tlsFinding(target), ...compareRecovered(copy, reference, {at, exact: state.to !== null}), ...await frozenFindings(options, target, state, io)]
      state.marks.verified = options.now().toISOString()
      await markProven(options, state, await newFork(options, state, target, io), io)
    },
  }
}

/** It decides about what can be done next, and is told there alone. */
async function noteVacancy({api}: RecoveryOptions, state: RecoveryState, io: StepIo): Promise<void> {
  const name = state.plan?.source ?? ''
  try {
    if (isVacant(await api.instances(io.signal), name)) state.vacantName = name
    else delete state.vacantName
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
  }
}

/** For the cut-over, which may be another person's. That it cannot be set takes nothing from the proof. */
async function markProven({api}: RecoveryOptions, state: RecoveryState, more: Tag[], io: StepIo): Promise<void> {
  const {copy, marks: {verified = ''}, runId, findings} = state
  const outcome = findings.some(({severity}) => severity === 'error') ? 'failed' : 'proven'
  // The policies of docs/iam let nothing be marked but under its run.
  const tags = [...tagsOfProof({run: runId ?? '', at: verified, outcome}), ...more]
  try {
    await api.addTags(copy?.arn ?? '', tags, io.signal)
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    io.notice(`The copy could not be marked as ${outcome}, so that dr pitr cutover does not know of it: ${error.message}`)
  }
}

/** Nobody has written to the copy yet: its rows say where it parted from its source. That they cannot be read is told when it matters. */
async function newFork({api}: RecoveryOptions, state: RecoveryState, target: Target, io: StepIo): Promise<Tag[]> {
  const {instance} = copyOf(state)
  if (state.purpose !== 'primary') return []
  try {
    const found = await api.instance(instance, io.signal)
    const fork = found === undefined || notedFork(found) ? undefined : await readFork(target, instance, {budgetMs: FORK_BUDGET_MS}, io)
    return fork && 'xid' in fork ? forkTags(fork) : []
  } catch {
    io.signal.throwIfAborted()
    return []
  }
}

const reading = ({config, proof}: RecoveryOptions, io: StepIo, what: string) => ({
  config, jobs: proof.jobs, applicationName: APPLICATION, namedBy: what, signal: io.signal,
  onCounted: (done: number, total: number) => { io.progress({unit: 'items', done, total, note: `${done} of ${total} tables of ${what}`}) },
})

/** The live source; without it the manifest nearest to the instant; without that none. Why is noted. */
async function referenceOf(options: RecoveryOptions, database: Target, state: RecoveryState, io: StepIo): Promise<RecoveredReference | undefined> {
  const live = await liveSide(options, database, state, io)
  if (typeof live !== 'string') {
    state.reference = {kind: 'live', name: `${database.host}:${database.port}/${database.database}`}
    return liveReference(live)
  }
  const at = new Date(state.to ?? options.now())
  const manifest = await nearestManifest({storages: options.proof.storages, environment: state.environment, database: database.database, at, signal: io.signal})
  state.reference = manifest === undefined ? {kind: 'none', name: '', why: live} : {kind: 'backup', name: manifest.label, why: live}
  io.notice(manifest === undefined ? `There is nothing to compare with (${live}): only the copy itself was looked at.` : `Compared with the backup ${manifest.label}: ${live}.`)
  return manifest && backupReference(manifest)
}

/** Or why it cannot be read. */
async function liveSide(options: RecoveryOptions, database: Target, state: RecoveryState, io: StepIo): Promise<RecoveredFacts | string> {
  const {host, port} = copyOf(state)
  if (host === database.host && port === database.port) return 'DATABASE_URL names the copy itself'
  try {
    return await readSide(database, reading(options, io, 'the source'))
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    return `the source cannot be read: ${error.message.replace(/\.$/, '')}`
  }
}

function tlsFinding({host, ssl}: Target): Finding[] {
  if (!isRds(host)) return []
  if (ssl.mode === 'verify-full') return [{code: 'pitr.tls', severity: 'ok', subject: '', message: 'TLS, and the certificate is that of the host'}]
  return [{code: 'pitr.tls', severity: 'warning', subject: '', message: 'the certificate of the copy was not verified', hint: 'Download global-bundle.pem from truststore.pki.rds.amazonaws.com, and set rds.caBundle'}]
}
