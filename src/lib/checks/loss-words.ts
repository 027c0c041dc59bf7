import {plural} from './integrity-group.ts'
import type {LossTable, TableLoss} from './loss.ts'

/** The loss in a few sentences, for somebody who is tired: what would be gone, what would come back, and how sure that is. */
export function lossWords(loss: LossTable): string[] {
  const {total, newerUnknown} = loss
  const gone = loss.tables.filter(({where}) => where === 'live')
  const back = loss.tables.filter(({where}) => where === 'backup')
  return [
    verdict(loss),
    ...(gone.length > 0 ? [`${plural(gone.length, 'table')} made since the backup would be gone: ${named(gone)}.`] : []),
    ...(back.length > 0 ? [`${plural(back.length, 'table')} dropped since the backup would come back: ${named(back)}.`] : []),
    ...(total.atLeast ? [`These figures are the least that it can be: rows that were changed, or deleted and replaced, cannot be told from counts${newerUnknown === undefined ? '' : ` (${newerUnknown})`}.`] : []),
  ]
}

function verdict({label, takenAt, liveAt, total, tenant}: LossTable): string {
  const whose = tenant === undefined ? '' : ` of tenant ${tenant}`
  const since = instantWords(takenAt, liveAt)
  const least = total.atLeast ? 'at least ' : ''
  if (total.lost === 0 && total.regained === 0) return total.atLeast ? `The backup ${label} of ${since} has as many rows${whose} as there are now.` : `A restore of ${label} would lose nothing${whose} and bring nothing back: no row was written or deleted since ${since}.`
  const lost = total.lost === 0 ? `lose no rows${whose}` : `lose ${least}${plural(total.lost, 'row')}${whose} written since ${since}`
  const how = total.atLeast ? 'deleted since' : 'deleted or changed since'
  const regained = total.regained === 0 ? 'bring none back' : `bring back ${least}${plural(total.regained, 'row')} that ${total.regained === 1 ? 'was' : 'were'} ${how}`
  return `A restore of ${label} would ${lost}, and ${regained}.`
}

/** `02:00 UTC` on the day of now, `2026-11-21 02:00 UTC` on another. */
export function instantWords(at: string, now: string): string {
  const [day = '', time = ''] = new Date(at).toISOString().split('T')
  return `${now.startsWith(day) ? '' : `${day} `}${time.slice(0, 5)} UTC`
}

const MOST_NAMED = 5

function named(tables: readonly TableLoss[]): string {
  const names = tables.slice(0, MOST_NAMED).map(({schema, name, live, backup}) => `${schema}.${name} (${plural(Math.max(live, backup), 'row')})`)
  return `${names.join(', ')}${tables.length > MOST_NAMED ? ` and ${tables.length - MOST_NAMED} more` : ''}`
}
