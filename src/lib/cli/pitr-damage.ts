import {preflightError, usageError} from '../errors.ts'
import type {InvestigateState} from '../procedures/investigate/options.ts'
import type {Damage} from '../report/investigation.ts'
import type {Context} from './context.ts'
import {targetOf} from './target.ts'

/** The instant before the damage that the newest investigation of this database has found. ISO, UTC. Throws `pitr.no-damage` (exit 3) and `pitr.which-damage` (exit 2). */
export async function instantBeforeDamage(context: Context, now: Date, talk: (line: string) => void): Promise<string> {
  const [{knownRuns}, {targetName}, {shownInstant}] = await Promise.all([import('../runbook/runs.ts'), import('../postgres/target.ts'), import('../report/instant.ts')])
  const target = targetName(await targetOf(await context.config()))
  const runs = await knownRuns(context.journalDirectory, {all: true})
  const run = runs.find(({procedure, about, state}) => procedure === 'investigate' && about.target === target && (state as InvestigateState).investigation !== undefined)
  const damages = (run?.state as InvestigateState | undefined)?.investigation?.damages ?? []
  const likely = damages.filter(({certainty}) => certainty === 'likely')
  const [first, ...others] = earliestFirst(likely.length > 0 ? likely : damages)
  if (run === undefined || first === undefined) {
    throw preflightError('pitr.no-damage', run === undefined ? `No investigation of ${target} was made from here.` : `The newest investigation of ${target} (${run.run}) found no damage.`, {hints: ['dr investigate looks for it, and names the instant.', '--to TIME names one.']})
  }
  if (others.some(({point}) => point !== first.point)) throw usageError('pitr.which-damage', `The investigation ${run.run} found several damages.`, {hints: [first, ...others].map((damage) => `--to ${damage.point}: before ${wordsOf(damage)}`)})
  talk(`Before ${wordsOf(first)}, by ${run.run}: ${shownInstant(new Date(first.point), now)}`)
  return new Date(first.point).toISOString()
}

const earliestFirst = (damages: readonly Damage[]): Damage[] => damages.toSorted((a, b) => (a.point < b.point ? -1 : a.point > b.point ? 1 : 0))

const WORDS = {overwritten: 'rows were overwritten', 'rows-gone': 'rows were deleted', 'table-gone': 'the table was dropped', emptied: 'the table was emptied', 'tenant-gone': 'a tenant was deleted'} as const

const wordsOf = ({kind, table, tenant, rows}: Damage): string => `${WORDS[kind]} (${[...(table ? [`${table.schema}.${table.name}`] : []), ...(tenant === undefined ? [] : [`tenant ${tenant}`]), `${rows.toLocaleString('en-US')} rows`].join(', ')})`
