import type {DBInstance, Tag} from '../../rds/api.ts'
import {TAG, tagOf} from '../../rds/tags.ts'
import type {FrozenDatabase} from '../../postgres/freeze.ts'
import type {CutoverMode} from './cutover-options.ts'

/** What a copy's tags say of the cut-over that it is in: enough to go back without the journal. */
export interface CutoverMark {
  mode: CutoverMode
  /** By url: rds.switchCommand leads clients there, and has to lead them back. */
  command?: boolean
  /** Of the production instance. */
  name: string
  /** Of the instance that had its place. */
  resourceId: string
  run: string
  /** The first transaction of the copy that is not of its source. */
  sinceXid?: string
  /** The run that has begun to take it back. */
  rollback?: string
}

/** All that a copy's tags say of a cut-over. */
export const CUTOVER_TAGS: readonly string[] = [TAG.replaces, TAG.cutover, TAG.rollback]

const MODES: readonly string[] = ['rename', 'url', 'proxy'] satisfies CutoverMode[]
const BY_COMMAND = '+command'
const MOST_CHARACTERS = 256

export const markTags = ({mode, command = false, name, resourceId, run, sinceXid}: Omit<CutoverMark, 'rollback'>): Tag[] => [
  {Key: TAG.replaces, Value: [`${mode}${command ? BY_COMMAND : ''}`, name, resourceId, ...(sinceXid === undefined ? [] : [sinceXid])].join('/')}, {Key: TAG.cutover, Value: run},
]

/** Undefined for a copy that takes nobody's place. */
export function cutoverMarkOf(instance: Pick<DBInstance, 'TagList'>): CutoverMark | undefined {
  const [way = '', name, resourceId, sinceXid] = tagOf(instance, TAG.replaces)?.split('/') ?? []
  const mode = way.replace(BY_COMMAND, '')
  if (!MODES.includes(mode) || name === undefined || resourceId === undefined) return undefined
  const rollback = tagOf(instance, TAG.rollback)
  return {mode: mode as CutoverMode, ...(way.endsWith(BY_COMMAND) && {command: true}), name, resourceId, run: tagOf(instance, TAG.cutover) ?? '', ...(rollback !== undefined && {rollback}), ...(sinceXid !== undefined && /^\d+$/.test(sinceXid) && {sinceXid})}
}

/** `crm archive:off @RUN`; `all @RUN` where the names do not fit a tag. */
export function frozenTag(databases: readonly FrozenDatabase[] | 'all', run: string): Tag {
  if (databases === 'all') return {Key: TAG.frozen, Value: `all @${run}`}
  const value = [...databases.map(({name, former}) => (former === null ? name : `${name}:${former}`)), `@${run}`].join(' ')
  return {Key: TAG.frozen, Value: value.length <= MOST_CHARACTERS && databases.every(({name}) => /^[\w.-]+$/.test(name) && name !== 'all') ? value : `all @${run}`}
}

/** Undefined: nothing was stopped. `all`: every database that is read-only. */
export function frozenOf(instance: Pick<DBInstance, 'TagList'>): FrozenDatabase[] | 'all' | undefined {
  const words = tagOf(instance, TAG.frozen)?.split(' ').filter((word) => word !== '' && !word.startsWith('@'))
  if (words === undefined) return undefined
  if (words.length === 1 && words[0] === 'all') return 'all'
  return words.map((word) => {
    const [name = '', former] = word.split(':')
    return {name, former: former ?? null}
  })
}

/** The run that stopped the writes; undefined where no tag says so. */
export const frozenRunOf = (instance: Pick<DBInstance, 'TagList'>): string | undefined => tagOf(instance, TAG.frozen)?.split(' ').find((word) => word.startsWith('@'))?.slice(1)

/** What several runs have stopped: of a database the first knew what was set before. */
export function mergeFrozen(earlier: readonly FrozenDatabase[], later: readonly FrozenDatabase[]): FrozenDatabase[] {
  const known = new Set(earlier.map(({name}) => name))
  return [...earlier, ...later.filter(({name}) => !known.has(name))]
}
