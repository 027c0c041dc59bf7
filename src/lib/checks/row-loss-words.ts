import {plural} from './integrity-group.ts'
import {instantWords} from './loss-words.ts'
import type {RowLoss} from './row-loss.ts'

/** What a restore does to the rows, in a sentence or two. */
export function rowLossWords({label, takenAt}: {label: string; takenAt: string}, {total, liveAt, tables, tenant, troubles, cautions}: RowLoss): string[] {
  const {onlyLive, onlyBackup, changed} = total
  const since = instantWords(takenAt, liveAt)
  const whose = tenant === undefined ? '' : ` of tenant ${tenant}`
  const parts = [
    onlyLive === 0 ? `lose no rows${whose}` : `lose ${plural(onlyLive, 'row')}${whose} added since ${since}`,
    ...(changed === 0 ? [] : [`take ${plural(changed, 'changed row')} back to what ${changed === 1 ? 'it was' : 'they were'}`]),
    onlyBackup === 0 ? 'bring none back' : `bring back ${plural(onlyBackup, 'deleted row')}`,
  ]
  const verdict = onlyLive + onlyBackup + changed === 0 ? `A restore of ${label} would change nothing${whose}: every row is as it was at ${since}.` : `A restore of ${label} would ${parts.slice(0, -1).join(', ')}, and ${parts.at(-1) ?? ''}.`
  const wholes = tables.filter(({key, where, onlyLive: added, onlyBackup: gone}) => key.length === 0 && where === 'both' && added > 0 && gone > 0)
  return [
    ...(troubles.length === 0 ? [verdict] : [`${verdict} ${plural(troubles.length, 'table')} could not be compared.`]),
    ...cautions,
    ...(wholes.length > 0 ? [`Without a key a changed row counts as one added and one deleted: ${wholes.map(({schema, name}) => `${schema}.${name}`).join(', ')}.`] : []),
  ]
}
