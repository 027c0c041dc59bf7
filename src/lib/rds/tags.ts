import type {DBInstance, Tag} from '@aws-sdk/client-rds'

/** The marks that `dr` sets on what it makes at AWS. What has none of them is not ours and is never changed or deleted. */
export const TAG = {
  run: 'dr:run-id',
  /** `primary`: is to take the place of its source; `side`: looked at, taken from, and removed. */
  purpose: 'dr:purpose',
  /** Identifier of the instance that it was restored from. */
  source: 'dr:source',
  /** Its resource id: another instance may have that identifier by now. */
  sourceId: 'dr:source-id',
  /** RFC 3339, or `latest`. */
  restoredTo: 'dr:restored-to',
  /** On a copy that was looked into: `TIME/proven` or `TIME/failed`; the time is RFC 3339. */
  proven: 'dr:proven',
  /** On a copy of whose database `dr pitr warm` has read every block: since when; RFC 3339. */
  hydrated: 'dr:hydrated',
  /** On an instance that was renamed out of the way: the name that it had. */
  replaced: 'dr:replaced',
  /** On the same: since when; RFC 3339. */
  replacedAt: 'dr:replaced-at',
  /** On a copy that takes a place, since before anything was changed: `WAY/NAME/RESOURCE-ID/XID`, WAY `url+command` where rds.switchCommand leads clients: name and resource id of the instance that had it, and the copy's first transaction since. */
  replaces: 'dr:replaces',
  /** On the same: the run of the cut-over. */
  cutover: 'dr:cutover',
  /** On the same: the run that takes it back, the last to say so. */
  rollback: 'dr:rollback',
  /**
   * On a copy for good, since its first proof or cut-over: the first transaction of its source that it does not know, 64 bits. When it
   * has been written to, nothing else says so. `unknown`: it cannot be known any more.
   */
  forkXid: 'dr:fork-xid',
  /** On an instance whose writes dr has stopped: in which databases. */
  frozen: 'dr:frozen',
} as const

export type Purpose = 'primary' | 'side'

/** What the marks of an instance say; undefined for one that `dr` did not make. */
export interface Marks {
  run: string
  purpose: Purpose
  source?: string
  sourceId?: string
  /** `latest`, or RFC 3339. */
  restoredTo?: string
}

export function marksOf({TagList = []}: Pick<DBInstance, 'TagList'>): Marks | undefined {
  const [run, purpose, source, sourceId, restoredTo] = [TAG.run, TAG.purpose, TAG.source, TAG.sourceId, TAG.restoredTo].map((key) => tagOf({TagList}, key))
  if (run === undefined || (purpose !== 'primary' && purpose !== 'side')) return undefined
  return {run, purpose, ...(source !== undefined && {source}), ...(sourceId !== undefined && {sourceId}), ...(restoredTo !== undefined && {restoredTo})}
}

export const tagOf = ({TagList = []}: Pick<DBInstance, 'TagList'>, key: string): string | undefined => TagList.find(({Key}) => Key === key)?.Value

export const tagsFor = ({run, purpose, source, sourceId, restoredTo}: Marks): Tag[] =>
  Object.entries({[TAG.run]: run, [TAG.purpose]: purpose, [TAG.source]: source, [TAG.sourceId]: sourceId, [TAG.restoredTo]: restoredTo}).flatMap(([Key, Value]) => (Value === undefined ? [] : [{Key, Value}]))

export interface ProofMark {
  /** RFC 3339. */
  at: string
  outcome: 'proven' | 'failed'
}

/** Undefined where nobody has looked into it, or the mark is not one of dr's. */
export function proofOf(instance: Pick<DBInstance, 'TagList'>): ProofMark | undefined {
  const [, at, outcome] = /^(\S+)\/(proven|failed)$/.exec(tagOf(instance, TAG.proven) ?? '') ?? []
  return at === undefined || (outcome !== 'proven' && outcome !== 'failed') ? undefined : {at, outcome}
}

export const tagsOfProof = ({run, at, outcome}: ProofMark & {run: string}): Tag[] => [{Key: TAG.run, Value: run}, {Key: TAG.proven, Value: `${at}/${outcome}`}]
