import {preflightError} from '../../errors.ts'
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

export interface FreezeList {
  databases: FrozenDatabase[]
  /** Databases that are read-only for reasons of others: they stay so. */
  kept: string[]
}

/** What a run stops: what takes writes, what it has planned to stop, and what earlier runs have stopped; nobody else would put it back. */
export function freezeList({open, frozen}: {open: readonly FrozenDatabase[]; frozen: readonly string[]}, old: Pick<DBInstance, 'TagList'>, planned: readonly FrozenDatabase[] = []): FreezeList {
  const earlier = frozenOf(old)
  const known = earlier === 'all' ? frozen.filter((name) => !keptOf(old).includes(name)).map((name) => ({name, former: null})) : earlier ?? []
  const databases = mergeFrozen(mergeFrozen(planned, known), open)
  return {databases, kept: frozen.filter((name) => databases.every((one) => one.name !== name))}
}

/**
 * `crm archive:off @RUN`; where that does not fit a tag, `all -archive @RUN`: all that are read-only but these. Throws
 * `pitr.many-databases` (exit 3) where neither fits.
 */
export function frozenTag({databases, kept}: FreezeList, run: string): Tag {
  const listed = databases.map(({name, former}) => (former === null ? encoded(name) : `${encoded(name)}:${former}`))
  const value = [listed, ['all', ...kept.map((name) => `-${encoded(name)}`)]].map((words) => [...words, `@${run}`].join(' ')).find(({length}) => length <= MOST_CHARACTERS)
  if (value === undefined) throw preflightError('pitr.many-databases', `Which of ${databases.length + kept.length} databases are read-only by dr, and which for other reasons, does not fit a tag.`, {hints: ['Stop their writes yourself, then: dr pitr cutover --no-freeze']})
  return {Key: TAG.frozen, Value: value}
}

/** AWS takes few characters; `=20` is a blank. */
const encoded = (name: string): string => name.replaceAll(/^-|[^\w.-]/gu, (character) => [...Buffer.from(character)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')).replace(/^all$/, '=61ll')
const decoded = (word: string): string => word.replaceAll(/(?:=[\dA-F]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('=', ''), 'hex').toString())

const frozenWords = (instance: Pick<DBInstance, 'TagList'>): string[] | undefined => tagOf(instance, TAG.frozen)?.split(' ').filter((word) => word !== '' && !word.startsWith('@'))

/** Undefined: nothing was stopped. `all`: every database that is read-only, save those of `keptOf`. */
export function frozenOf(instance: Pick<DBInstance, 'TagList'>): FrozenDatabase[] | 'all' | undefined {
  const words = frozenWords(instance)
  if (words === undefined) return undefined
  if (words[0] === 'all' && words.slice(1).every((word) => word.startsWith('-'))) return 'all'
  return words.map((word) => {
    const [name = '', former] = word.split(':')
    return {name: decoded(name), former: former ?? null}
  })
}

/** Of `all`: those that were read-only before. */
export const keptOf = (instance: Pick<DBInstance, 'TagList'>): string[] => (frozenOf(instance) === 'all' ? (frozenWords(instance) ?? []).slice(1).map((word) => decoded(word.slice(1))) : [])

/** The run that stopped the writes; undefined where no tag says so. */
export const frozenRunOf = (instance: Pick<DBInstance, 'TagList'>): string | undefined => tagOf(instance, TAG.frozen)?.split(' ').find((word) => word.startsWith('@'))?.slice(1)

/** What several runs have stopped: of a database the first knew what was set before. */
export function mergeFrozen(earlier: readonly FrozenDatabase[], later: readonly FrozenDatabase[]): FrozenDatabase[] {
  const known = new Set(earlier.map(({name}) => name))
  return [...earlier, ...later.filter(({name}) => !known.has(name))]
}
