import {availableParallelism} from 'node:os'
import type {Config} from '../config/config.ts'
import {usageError} from '../errors.ts'
import type {ExpectedPlan, ProofOptions, RecoveryOptions, RecoverySource, RecoveryState, RecoveryWish} from '../procedures/pitr/recover-options.ts'
import type {Purpose} from '../rds/tags.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {openToRead} from './list.ts'
import {instanceOf, openRds, type OpenRds} from './rds.ts'
import type {Resuming} from './run-procedure.ts'
import {configuredStorages} from './storages.ts'
import {targetOf} from './target.ts'

/** As they are typed. */
export interface RecoveryFlags {
  to?: string | undefined
  latest?: boolean | undefined
  'before-damage'?: boolean | undefined
  source?: string | undefined
  'source-resource-id'?: string | undefined
  'source-backup-arn'?: string | undefined
  target?: string | undefined
  purpose?: Purpose | undefined
  class?: string | undefined
  'security-group'?: string[] | undefined
  'parameter-group'?: string | undefined
  'option-group'?: string | undefined
  'subnet-group'?: string | undefined
  'multi-az'?: boolean | undefined
}

const MOST_CONNECTIONS = 4

/** What the flags ask for. `talk` hears which damage an instant was taken from. */
export async function recoveryWish(context: Context, flags: RecoveryFlags, now: Date, talk: (line: string) => void): Promise<RecoveryWish> {
  const to = await instantOf(context, flags, now, talk)
  const config = await context.config()
  const {sideClass, sideSecurityGroups} = config.rds
  const side = flags.purpose === 'side'
  const {class: instanceClass = side ? sideClass : undefined, 'security-group': securityGroups = side ? sideSecurityGroups : undefined, 'parameter-group': parameterGroup, 'option-group': optionGroup, 'subnet-group': subnetGroup, 'multi-az': multiAz, target, purpose = 'primary'} = flags
  return {
    source: sourceOf(config, flags), to, ...(target !== undefined && {target}),
    choice: {
      purpose, ...(instanceClass !== undefined && {instanceClass}), ...(securityGroups !== undefined && {securityGroups}), ...(parameterGroup !== undefined && {parameterGroup}),
      ...(optionGroup !== undefined && {optionGroup}), ...(subnetGroup !== undefined && {subnetGroup}), ...(multiAz !== undefined && {multiAz}),
    },
  }
}

function sourceOf(config: Config, {source, 'source-resource-id': resourceId, 'source-backup-arn': backupArn}: RecoveryFlags): RecoverySource {
  if (resourceId !== undefined) return {resourceId}
  return backupArn === undefined ? {instance: instanceOf(config, source), ...(source !== undefined && {named: true as const})} : {backupArn}
}

async function instantOf(context: Context, {to, latest, 'before-damage': beforeDamage}: RecoveryFlags, now: Date, talk: (line: string) => void): Promise<string | null> {
  const {parseInstant} = await import('../rds/instant.ts')
  if (to !== undefined) return parseInstant(to, now).toISOString()
  if (beforeDamage) {
    const {instantBeforeDamage} = await import('./pitr-damage.ts')
    return instantBeforeDamage(context, now, talk)
  }
  if (latest) return null
  throw usageError('pitr.time', 'It is not said to which time.', {hints: ["--to 2026-11-22T14:00:00+05:00, or --to '10 minutes ago'", '--latest takes the end of the restore window.', '--before-damage takes the instant that dr investigate found.']})
}

export interface ComposedRecovery {
  procedure: Procedure<RecoveryState>
  state: RecoveryState
  options: RecoveryOptions
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

export interface RecoveryComposition {
  wish: () => Promise<RecoveryWish>
  expected?: ExpectedPlan
  /** --plan: AWS is looked at now, so that the commands are whole. */
  plan: boolean
  resuming?: Resuming | undefined
}

/** Joins configuration, API and storages into the procedure of one recovery. */
export async function composeRecovery(context: Context, {wish, expected, plan, resuming}: RecoveryComposition): Promise<ComposedRecovery> {
  const {recoveryProcedure, recoveryState} = await import('../procedures/pitr/index.ts')
  // An earlier process knows what was wished: "10 minutes ago" was another time then.
  const earlier = resuming?.earlier.state as RecoveryState | undefined
  const {options, close} = await recoveryOptions(context, earlier?.wish ?? await wish(), expected)
  try {
    const state = recoveryState(options)
    if (plan) await lookNow(context, options, state)
    return {procedure: recoveryProcedure(options), state: resuming?.undo && earlier ? earlier : state, options, close}
  } catch (error) {
    await close()
    throw error
  }
}

async function lookNow(context: Context, options: RecoveryOptions, state: RecoveryState): Promise<void> {
  const {planRecovery} = await import('../procedures/pitr/look.ts')
  state.runId = options.expected?.runId ?? 'RUN'
  state.plan = options.expected?.plan ?? await planRecovery(options, {...state, target: state.target ?? '', runId: state.runId}, await context.signal())
}

/** The API is not asked yet. */
export async function recoveryOptions(context: Context, wish: RecoveryWish, expected?: ExpectedPlan): Promise<{options: RecoveryOptions; close: () => Promise<void>}> {
  const rds = await openRds(context)
  const proof = await proofOf(context, rds)
  return {
    options: {config: rds.config, api: rds.api, wish, proof, now: () => new Date(), ...(expected && {expected})},
    async close() {
      rds.close()
      for (const storage of proof.storages) await storage.close()
    },
  }
}

/** What the copy is compared with. */
async function proofOf(context: Context, {config}: OpenRds): Promise<ProofOptions> {
  const storages = await openToRead(context, configuredStorages(config))
  return {storages, jobs: Math.min(MOST_CONNECTIONS, availableParallelism()), ...(config.database.url !== undefined && {database: await targetOf(config)})}
}
