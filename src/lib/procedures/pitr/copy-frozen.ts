import type {Finding} from '../../checks/finding.ts'
import {DrError, preflightError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {frozenDatabases, isReadOnly, unfreezeSql, type FrozenDatabase} from '../../postgres/freeze.ts'
import type {Target} from '../../postgres/target.ts'
import type {DBInstance} from '../../rds/api.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {byResource} from './cutover-instances.ts'
import {frozenOf} from './cutover-marks.ts'
import {partyOf, type CutoverOptions, type CutoverState} from './cutover-options.ts'
import {copyOf, type RecoveryOptions, type RecoveryState} from './recover-options.ts'
import {targetAt} from './target.ts'

const LOOK = {applicationName: 'dr pitr'}

interface Stopped {
  /** Read-only in the copy because writes were stopped at its instant. */
  stopped: string[]
  /** Read-only in the copy, and whether that is meant cannot be known. */
  unsure: string[]
}

/** What is read-only in the copy. `old`: what is so in its source, undefined where that cannot be asked; `tagged`: what of that dr has done. The application's database is never meant to be. */
function stoppedIn(copy: readonly string[], main: string, old: readonly string[] | undefined, tagged: readonly FrozenDatabase[] | 'all' | undefined): Stopped {
  const byDr = (name: string) => tagged === 'all' || tagged?.some((one) => one.name === name) === true
  const stopped = copy.filter((name) => name === main || byDr(name) || old?.includes(name) === false)
  return {stopped, unsure: old === undefined ? copy.filter((name) => !stopped.includes(name)) : []}
}

const frozenAt = (target: Target): Promise<string[]> => withClient(target, LOOK, frozenDatabases)

/** Undefined: it cannot be asked. */
const askedFor = <T>(found: Promise<T>, io: StepIo): Promise<T | undefined> => found.catch((error: unknown) => {
  io.signal.throwIfAborted()
  if (!(error instanceof DrError)) throw error
  return undefined
})

/** A copy of a time in which writes were stopped would stay so. Throws `pitr.copy-frozen` (exit 3); what cannot be known is a finding. */
export async function assertTakesWrites(options: CutoverOptions, state: CutoverState, io: StepIo): Promise<Finding[]> {
  const [old, copy] = [partyOf(state.old), partyOf(state.copy)]
  const at = targetAt(options.target, copy, options)
  const {frozen, readOnly} = await withClient(at, LOOK, async (client) => ({frozen: await frozenDatabases(client), readOnly: await isReadOnly(client)}))
  const found = frozen.length === 0 ? undefined : await byResource(options, old.resourceId, io.signal)
  const {stopped, unsure} = stoppedIn(frozen, at.database, frozen.length === 0 ? [] : await askedFor(frozenAt(targetAt(options.target, old, options)), io), found && frozenOf(found))
  if (stopped.length > 0) throw preflightError('pitr.copy-frozen', `${stopped.join(', ')} of ${copy.id} ${stopped.length === 1 ? 'is' : 'are'} read-only: it was restored to a time in which writes were stopped.`, {hints: byHand(copy.id, stopped)})
  if (readOnly) throw preflightError('pitr.copy-frozen', `Sessions of ${at.user} in ${copy.id} are read-only, by a setting of the role or of the whole instance.`, {hints: [`On ${copy.id}: BEGIN READ WRITE; ALTER ROLE CURRENT_USER RESET default_transaction_read_only; COMMIT;`, 'If it is the parameter group: aws rds modify-db-parameter-group.']})
  return unsure.map((name) => ({...unsureOf(name), hint: byHand(copy.id, [name]).join('')}))
}

const byHand = (id: string, names: readonly string[]): string[] => unfreezeSql(names.map((name) => ({name, former: null}))).map((sql) => `On ${id}: ${sql}`)
const unsureOf = (name: string): Finding => ({code: 'pitr.copy-frozen', severity: 'warning', subject: name, message: 'is read-only in the copy, and the old one cannot be asked whether that is meant'})

/** For the proof of a copy that may take a place. */
export async function frozenFindings(options: RecoveryOptions, at: Target, state: RecoveryState, io: StepIo): Promise<Finding[]> {
  const frozen = state.purpose === 'primary' ? await frozenAt(at) : []
  if (frozen.length === 0) return []
  const {database} = options.proof
  const isItself = database === undefined || (database.host === at.host && database.port === at.port)
  const tagged = await askedFor(sourceOf(options, state, io), io)
  const {stopped, unsure} = stoppedIn(frozen, at.database, isItself ? undefined : await askedFor(frozenAt(database), io), tagged && frozenOf(tagged))
  const {instance} = copyOf(state)
  return [
    ...stopped.map((name): Finding => ({code: 'pitr.copy-frozen', severity: 'error', subject: name, message: 'is read-only in the copy: it was restored to a time in which writes were stopped', hint: `${byHand(instance, [name]).join('')} Then: dr pitr resume ${instance}`})),
    ...unsure.map((name) => ({...unsureOf(name), hint: byHand(instance, [name]).join('')})),
  ]
}

const sourceOf = async ({api}: RecoveryOptions, {plan, source}: RecoveryState, io: StepIo): Promise<DBInstance | undefined> => api.instance(plan?.source ?? source, io.signal)
