import {withClient} from '../../postgres/connection.ts'
import {fullXid, readMarker, writesOf, xidBehindRows, type InstanceMarker} from '../../postgres/instance-marker.ts'
import {openThen, type OpenThen} from '../../postgres/open-then.ts'
import type {Target} from '../../postgres/target.ts'
import type {DBInstance, Tag} from '../../rds/api.ts'
import {marksOf, TAG, tagOf} from '../../rds/tags.ts'
import type {StepIo} from '../../runbook/procedure.ts'

/** Where a copy parted from its source: the first transaction of the source that it does not know, 64 bits. Or why nobody can say. Plain data. */
export type Fork = {xid: string} | {unknown: string}

/** At a gate, where somebody waits. */
const BUDGET_MS = 30_000
/** Clocks of applications may differ by so much. */
const SKEW_MS = 60_000
const UNKNOWN = 'unknown'

export const forkTags = (fork: Fork): Tag[] => [{Key: TAG.forkXid, Value: 'xid' in fork ? fork.xid : UNKNOWN}]

/** As it was noted when the copy was first proven or cut over to; undefined: it was not. */
export function notedFork(copy: Pick<DBInstance, 'TagList' | 'DBInstanceIdentifier'>): Fork | undefined {
  const noted = tagOf(copy, TAG.forkXid)
  if (noted === undefined) return undefined
  return /^\d+$/.test(noted) ? {xid: noted} : {unknown: `when ${copy.DBInstanceIdentifier ?? 'the copy'} was first cut over to, its rows did not say where it parted from its source`}
}

/** By the rows of a copy that nobody has written to; `newest` is the time of its newest row, ISO. */
export async function readFork(target: Target, id: string, {restoredTo, newest, budgetMs = BUDGET_MS}: {restoredTo?: string | undefined; newest?: string | undefined; budgetMs?: number}, {signal}: Pick<StepIo, 'signal'>): Promise<Fork> {
  if (newest !== undefined && Date.parse(newest) - Date.parse(restoredTo ?? '') > SKEW_MS) return {unknown: `${id} holds a row of ${newest}: it has been written to since it was restored`}
  return withClient(target, {applicationName: 'dr pitr'}, async (client) => {
    if (await writesOf(client) > 0) return {unknown: `${id} has been written to since it was restored`}
    const xid = await xidBehindRows(client, {budgetMs, signal})
    return xid === undefined ? {unknown: `the rows of ${id} could not be read in time, or it holds none`} : {xid: fullXid(xid, (await readMarker(client)).nextXid)}
  })
}

/** What the copy has written itself from now on has this transaction or a later one: the oldest that is open in it, 64 bits. One that was open at its instant, and is prepared still, is not its own. */
export function ownSince({openXid, nextXid}: InstanceMarker, fork: Fork | undefined): string {
  if (fork === undefined || 'unknown' in fork) return nextXid
  return BigInt(openXid) < BigInt(fork.xid) ? fork.xid : openXid
}

/** Of the old instance's transactions before they part, those that were open then, and have committed since: the copy does not know them either. */
export async function openAtFork(copy: Target, old: Target, parting: Fork): Promise<OpenThen> {
  if (!('xid' in parting)) return {xids: [], complete: false}
  return withClient(copy, {applicationName: 'dr pitr'}, (at) => withClient(old, {applicationName: 'dr pitr'}, (source) => openThen(at, source, parting.xid)))
}

/**
 * The first transaction of the old instance that the copy does not know. They part where the copy was made of it; where both were
 * made of the same one, where the first of them was.
 */
export function partingOf(copy: DBInstance, old: DBInstance, fork: Fork): Fork {
  const {sourceId} = marksOf(copy) ?? {}
  if ('unknown' in fork || sourceId === undefined || sourceId === old.DbiResourceId) return fork
  const sibling = marksOf(old)?.sourceId === sourceId ? notedFork(old) : undefined
  if (sibling === undefined || 'unknown' in sibling) return {unknown: `${copy.DBInstanceIdentifier ?? 'the copy'} was made of ${sourceId}, and ${old.DBInstanceIdentifier ?? 'the old instance'} is ${old.DbiResourceId ?? 'another one'}`}
  return BigInt(sibling.xid) < BigInt(fork.xid) ? sibling : fork
}
