import {DrError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {kindOf} from '../../rds/status.ts'
import {betweenLooks, byResource, locate, MINUTE_MS, objectiveOf, untilAvailable, untilSo} from './cutover-instances.ts'
import type {RdsOptions} from './options.ts'
import {waitFor} from './wait.ts'

export interface Rename {
  resourceId: string
  from: string
  to: string
}

/** Three times what the RDS User Guide says of a rename. */
const RENAME_BUDGET_MS = 30 * MINUTE_MS
const ATTEMPTS = 4
/** With these the call may have been taken all the same: the SDK asks again when a reply was lost. */
const PERHAPS = ['rds.state', 'rds.unreachable', 'rds.throttled', 'rds.no-instance', 'rds.exists']

/**
 * Gives an instance another name, and waits until the old name is gone and the new one is ready, three looks in a row. The
 * instance is known by its resource id, so that a later process does whatever is left of it, and nothing twice.
 */
export async function rename(options: RdsOptions, work: Rename, io: StepIo): Promise<DBInstance> {
  const {resourceId, from, to} = work
  await ask(options, work, io)
  await waitFor(options, {instance: from, gone: true, renamed: resourceId, budgetMs: RENAME_BUDGET_MS, objectiveMs: objectiveOf(options)}, io)
  await waitFor(options, {instance: to, budgetMs: RENAME_BUDGET_MS, objectiveMs: objectiveOf(options), pending: 'ignored'}, io)
  const found = await locate(options, resourceId, io)
  if (found.DBInstanceIdentifier !== to) throw elsewhere(found, to)
  return found
}

async function ask(options: RdsOptions, {resourceId, from, to}: Rename, io: StepIo): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const found = await locate(options, resourceId, io)
    if (found.DBInstanceIdentifier === to || isRenaming(found)) return
    if (found.DBInstanceIdentifier !== from) throw elsewhere(found, from)
    await untilAvailable(options, from, RENAME_BUDGET_MS, io)
    try {
      await options.api.modify({DBInstanceIdentifier: from, NewDBInstanceIdentifier: to}, io.signal)
      return
    } catch (error) {
      if (!(error instanceof DrError) || !PERHAPS.includes(error.code) || attempt === ATTEMPTS) throw error
      if (error.code === 'rds.exists' && (await options.api.instance(to, io.signal))?.DbiResourceId !== resourceId) throw error
      await betweenLooks(options, io)
    }
  }
}

/** Of one that does not come back by itself nothing goes on. */
const isRenaming = ({DBInstanceStatus = '', PendingModifiedValues}: DBInstance): boolean => DBInstanceStatus === 'renaming' || (PendingModifiedValues?.DBInstanceIdentifier !== undefined && kindOf(DBInstanceStatus) !== 'terminal')

export const elsewhere = ({DBInstanceIdentifier = '', DbiResourceId = ''}: DBInstance, expected: string) =>
  new DrError('pitr.renamed', `The instance ${DbiResourceId} is called ${DBInstanceIdentifier} now, not ${expected}: somebody else has renamed it.`, {exitCode: 3, hints: ['dr pitr list shows what is called what; dr pitr rollback brings the old instance back.']})

/** Brings it back to a name, from whatever it is called; nothing when it is gone or has it. */
export async function renameBack(options: RdsOptions, {resourceId, to}: {resourceId: string; to: string}, io: StepIo): Promise<void> {
  if ((await byResource(options, resourceId, io.signal)) === undefined) return
  const from = await steadyName(options, resourceId, io)
  if (from !== to) await rename(options, {resourceId, from, to}, io)
}

const LOOKS_IN_A_ROW = 3

/** What it is called when nothing goes on: it is a moment until a rename that AWS has taken shows. */
export async function steadyName(options: RdsOptions, resourceId: string, io: StepIo): Promise<string> {
  let [inARow, last] = [0, '']
  const look = async () => {
    const found = await locate(options, resourceId, io)
    const name = found.DBInstanceIdentifier ?? ''
    inARow = isRenaming(found) ? 0 : name === last ? inARow + 1 : 1
    last = name
    if (inARow === 0) io.progress(`${name} is being renamed`)
    return inARow === LOOKS_IN_A_ROW ? name : undefined
  }
  return untilSo(options, {look, budgetMs: RENAME_BUDGET_MS, what: `The rename of ${resourceId} did not come to its end`}, io)
}
