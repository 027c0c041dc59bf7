import type {Finding} from '../../checks/finding.ts'
import type {Target} from '../../postgres/target.ts'
import type {RestoreChoice} from '../../rds/restore-inputs.ts'
import type {Purpose} from '../../rds/tags.ts'
import type {RestoreWindow} from '../../rds/window.ts'
import type {PlainPlan} from '../../report/recovery-plan.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {RdsOptions} from './options.ts'

/** Which backups are restored from: those of a live instance, of a deleted one, or replicated ones. `named`: the operator has named it, live or not. */
export type RecoverySource = {instance: string; named?: true} | {resourceId: string} | {backupArn: string}

/** What the operator decides of a copy, by the flags. */
export type RecoveryChoice = Pick<RestoreChoice, 'purpose' | 'instanceClass' | 'securityGroups' | 'parameterGroup' | 'optionGroup' | 'subnetGroup' | 'multiAz'>

export interface RecoveryWish {
  source: RecoverySource
  /** ISO, UTC; null: the latest restorable time. */
  to: string | null
  /** Else the source's name with the instant. */
  target?: string
  choice: RecoveryChoice
}

/** A plan that is to be carried out as it stands. */
export interface ExpectedPlan {
  plan: RecoveryPlan
  /** The run that its marks name. */
  runId: string
  /** Carry it out although the source is another than it was. */
  acceptChanges: boolean
}

/** What was looked at, and what is going to be asked of AWS. */
export interface RecoveryPlan extends PlainPlan {
  source: string
  target: string
  purpose: Purpose
  /** ISO, UTC; null: the latest restorable time. */
  to: string | null
  window: RestoreWindow
}

/** Plain data: it stands in the journal and in --json. */
export interface RecoveryState {
  environment: string
  /** What was wished: a later process needs no flags. */
  wish: RecoveryWish
  /** For people: an identifier, a resource id or an ARN. */
  source: string
  purpose: Purpose
  /** ISO, UTC; null: the latest restorable time. */
  to: string | null
  rtoSeconds: number
  /** The new instance; known when AWS has been looked at. */
  target?: string
  /** By which its marks name it. */
  runId?: string
  plan?: RecoveryPlan
  /** When it was asked for; `adopted`: it was there already, with the marks of this run. */
  asked?: {at: string; adopted: boolean}
  copy?: RecoveredInstance
  /** AWS has ended it in a status from which it does not come back by itself. */
  ended?: boolean
  /** It has taken a place, or clients may work on it otherwise. */
  live?: boolean
  /** What was set afterwards. */
  settled?: {modified: string[]; roles: string[]; rebooted: boolean}
  marks: {available?: string; verified?: string; hydrated?: string}
  /** What it was compared with. */
  reference?: ProofReference
  /** Name of the source, where no instance has it any more: it is free for the copy. */
  vacantName?: string
  findings: Finding[]
}

export interface RecoveredInstance {
  instance: string
  resourceId: string
  arn: string
  host?: string
  port?: number
}

/** `live`: the source; `backup`: the manifest nearest to the instant; `none`: neither could be had. */
export interface ProofReference {
  kind: 'live' | 'backup' | 'none'
  name: string
  /** Why it is not the live source. */
  why?: string
}

/** What is needed to prove a copy. */
export interface ProofOptions {
  /** The database that the application uses: user, password and name are its in the copy, too. */
  database?: Target
  /** The repositories of the environment: a manifest serves where the source cannot be reached. */
  storages: readonly Storage[]
  jobs: number
}

export interface RecoveryOptions extends RdsOptions {
  wish: RecoveryWish
  proof: ProofOptions
  /** A plan of before, which is carried out as it stands. */
  expected?: ExpectedPlan
  now: () => Date
}

export const sourceName = (source: RecoverySource): string => ('instance' in source ? source.instance : 'resourceId' in source ? source.resourceId : source.backupArn)

/** The plan, when it has been made. */
export function planned({plan, runId}: Pick<RecoveryState, 'plan' | 'runId'>): {plan: RecoveryPlan; runId: string} {
  if (plan === undefined || runId === undefined) throw new Error('AWS was not looked at.')
  return {plan, runId}
}

export function copyOf({copy}: Pick<RecoveryState, 'copy'>): RecoveredInstance {
  if (copy === undefined) throw new Error('The copy was not asked for.')
  return copy
}
