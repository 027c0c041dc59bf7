import type {DBInstance} from '../../rds/api.ts'
import {isLost} from '../../rds/status.ts'
import {marksOf, TAG, tagOf} from '../../rds/tags.ts'
import {cutoverMarkOf} from './cutover-marks.ts'

/** `side`: made to be looked at. `primary`: made to take a place. `replaced`: was live before a cut-over. */
export type CopyKind = 'side' | 'primary' | 'replaced'

/** An instance that dr has made, or has renamed out of the way. */
export interface LeftInstance {
  instance: string
  resourceId: string
  kind: CopyKind
  status: string
  protected: boolean
  /** ISO; of a replaced one when it was replaced. */
  since: string | null
  /** Why it stays; undefined when it goes. */
  stays?: string
  /** Taken before; null: none is. */
  finalSnapshot: string | null
}

export interface JudgeOptions {
  /** Identifiers that were named; none: every side copy. */
  named: readonly string[]
  /** The production instance. */
  live: string | undefined
  /** `host:port` that clients use. */
  address: string | undefined
  replaced: boolean
  unprotect: boolean
  /** How long a replaced instance is kept. */
  retentionDays: number
  now: Date
}

const DAY_MS = 86_400_000

/** What dr knows of an instance that is its own; undefined for every other one: that is never touched. */
export function kindOfCopy(instance: DBInstance): CopyKind | undefined {
  if (tagOf(instance, TAG.replaced) !== undefined) return 'replaced'
  return marksOf(instance)?.purpose
}

/** Whether it may be deleted, and if not, why. Asked again right before the deletion, of what AWS says then. */
export function judge(instance: DBInstance, kind: CopyKind, options: JudgeOptions): LeftInstance {
  const {DBInstanceIdentifier: id = '', DbiResourceId: resourceId = '', DBInstanceStatus: status = '', DeletionProtection = false} = instance
  const since = kind === 'replaced' ? tagOf(instance, TAG.replacedAt) : instance.InstanceCreateTime?.toISOString()
  const stays = liveReason(instance, options) ?? kindReason(id, kind, since, options) ?? (status === 'deleting' ? 'it is being deleted' : undefined) ?? (DeletionProtection && !options.unprotect ? 'it is protected against deletion: --unprotect' : undefined)
  const stamp = options.now.toISOString().replaceAll(/\D/g, '').slice(0, 14)
  return {instance: id, resourceId, kind, status, protected: DeletionProtection, since: since ?? null, finalSnapshot: kind === 'side' || isLost(status) ? null : `${id}-final-${stamp}`, ...(stays !== undefined && {stays})}
}

/** Why it is, or may be, what clients work on: by each fact alone, whatever the tags say. */
export function liveReason(instance: DBInstance, {live, address}: Pick<JudgeOptions, 'live' | 'address'>): string | undefined {
  const {DBInstanceIdentifier: id = '', Endpoint} = instance
  if (id === live) return 'it is the production instance'
  if (address !== undefined && `${Endpoint?.Address?.toLowerCase() ?? ''}:${Endpoint?.Port ?? ''}` === address) return 'DATABASE_URL leads to it'
  const mark = tagOf(instance, TAG.replaced) === undefined ? cutoverMarkOf(instance) : undefined
  if (mark) return `it is in a cut-over of ${mark.name} (run ${mark.run}): dr pitr rollback`
  return marksOf(instance)?.source === id ? 'it has the name of the instance that it was made of' : undefined
}

function kindReason(id: string, kind: CopyKind, since: string | undefined, {named, replaced, retentionDays, now}: JudgeOptions): string | undefined {
  if (kind === 'side') return undefined
  if (!named.includes(id)) return kind === 'primary' ? 'it was made to take a place: name it' : 'it was live: name it, with --replaced'
  if (kind === 'primary') return undefined
  if (!replaced) return 'it was live before a cut-over: --replaced'
  const age = now.getTime() - Date.parse(since ?? '')
  return Number.isNaN(age) || age < retentionDays * DAY_MS ? `it was replaced less than ${retentionDays} days ago: until then the new one has no backups of before` : undefined
}
