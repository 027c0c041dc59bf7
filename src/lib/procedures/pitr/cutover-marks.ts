import type {DBInstance, Tag} from '../../rds/api.ts'
import {TAG, tagOf} from '../../rds/tags.ts'
import type {FrozenDatabase} from '../../postgres/freeze.ts'
import type {CutoverMode} from './cutover-options.ts'

/** What a copy's tags say of the cut-over that it is in: enough to go back without the journal. */
export interface CutoverMark {
  mode: CutoverMode
  /** Of the production instance. */
  name: string
  /** Of the instance that had its place. */
  resourceId: string
  run: string
  /** The first transaction of the copy that is not of its source. */
  sinceXid?: string
}

const MODES: readonly string[] = ['rename', 'url', 'proxy'] satisfies CutoverMode[]
const MOST_CHARACTERS = 256

export const markTags = ({mode, name, resourceId, run, sinceXid}: CutoverMark): Tag[] => [
  {Key: TAG.replaces, Value: [mode, name, resourceId, ...(sinceXid === undefined ? [] : [sinceXid])].join('/')}, {Key: TAG.cutover, Value: run},
]

/** Undefined for a copy that takes nobody's place. */
export function cutoverMarkOf(instance: Pick<DBInstance, 'TagList'>): CutoverMark | undefined {
  const [mode = '', name, resourceId, sinceXid] = tagOf(instance, TAG.replaces)?.split('/') ?? []
  if (!MODES.includes(mode) || name === undefined || resourceId === undefined) return undefined
  return {mode: mode as CutoverMode, name, resourceId, run: tagOf(instance, TAG.cutover) ?? '', ...(sinceXid !== undefined && /^\d+$/.test(sinceXid) && {sinceXid})}
}

/** `crm archive:off`; `all` where the names do not fit a tag. */
export function frozenTag(databases: readonly FrozenDatabase[]): Tag {
  const value = databases.map(({name, former}) => (former === null ? name : `${name}:${former}`)).join(' ')
  return {Key: TAG.frozen, Value: value.length <= MOST_CHARACTERS && databases.every(({name}) => /^[\w.-]+$/.test(name) && name !== 'all') ? value : 'all'}
}

/** Undefined: nothing was stopped. `all`: every database that is read-only. */
export function frozenOf(instance: Pick<DBInstance, 'TagList'>): FrozenDatabase[] | 'all' | undefined {
  const value = tagOf(instance, TAG.frozen)
  if (value === undefined || value === 'all') return value
  return value.split(' ').filter((word) => word !== '').map((word) => {
    const [name = '', former] = word.split(':')
    return {name, former: former ?? null}
  })
}
