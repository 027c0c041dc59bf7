import {preflightError, unreachableError, usageError} from '../errors.ts'
import {faultsPath, secretHeader} from './fault-rules.ts'
import {programRuns} from './node-service.ts'
import {ACTIONS} from './rds/actions/all.ts'
import type {RdsFaultRule} from './rds/faults.ts'
import {readState} from './state.ts'

/** Those that begin something which ends in a status. */
const BEGINNING = ['ModifyDBInstance', 'RebootDBInstance', 'RestoreDBInstanceToPointInTime', 'StartDBInstance', 'StopDBInstance']

/** What is to go wrong in the sandbox's RDS server, with how often still. */
export const rdsFaults = (directory: string): Promise<RdsFaultRule[]> => ask(directory, 'GET')

/** One thing more goes wrong from now on. Throws `sandbox.fault` (exit 2) for an action that is not there, or does not end in a status. */
export async function addRdsFault(directory: string, rule: RdsFaultRule): Promise<RdsFaultRule[]> {
  const {match: {action}, action: effect} = rule
  if (action !== undefined && !(action in ACTIONS)) throw usageError('sandbox.fault', `The sandbox's RDS server knows no action ${action}.`, {hints: [`One of: ${Object.keys(ACTIONS).join(', ')}.`]})
  if ('endsAs' in effect && (action === undefined || !BEGINNING.includes(action))) throw usageError('sandbox.fault', `${action ?? 'Not every action'} begins something that ends in a status.`, {hints: [`With --ends-as, give --action one of: ${BEGINNING.join(', ')}.`]})
  return ask(directory, 'POST', [...(await rdsFaults(directory)).filter(({times}) => times > 0), rule])
}

export const clearRdsFaults = (directory: string): Promise<RdsFaultRule[]> => ask(directory, 'DELETE')

async function ask(directory: string, method: string, rules?: readonly RdsFaultRule[]): Promise<RdsFaultRule[]> {
  const state = await readState(directory)
  const rds = state?.services.find(({name}) => name === 'rds')
  if (!state || !rds || !(await programRuns(rds))) throw preflightError('sandbox.stopped', 'The RDS server of the sandbox does not run.', {hints: ['dr sandbox start']})
  const response = await fetch(`http://127.0.0.1:${rds.port}${faultsPath}`, {method, headers: {[secretHeader]: state.s3.secretAccessKey}, ...(rules && {body: JSON.stringify(rules)})})
  if (!response.ok) throw unreachableError('sandbox.rds', `The sandbox's RDS server answers with ${response.status}.`, {hints: ['dr sandbox stop, then dr sandbox start']})
  return (await response.json()) as RdsFaultRule[]
}
