import type {Damage, NamedTable, When} from '../../report/investigation.ts'
import {shellQuote} from '../../system/shell.ts'
import {secondBefore} from './instants.ts'

type Draft = Omit<Damage, 'point' | 'commands'>

/** The name as an operator gives it to a command. */
export const tableName = ({schema, name}: NamedTable): string => (schema === 'public' && !name.includes('.') ? name : `${schema}.${name}`)

/** Adds the point for a recovery, and the commands that repair. */
export function proposed(damage: Draft): Damage {
  const point = pointOf(damage.when)
  const partial = damage.source === undefined ? [] : [{purpose: purposeOf(damage), command: partialCommand(damage, damage.source.label)}]
  return {...damage, point, commands: [...partial, {purpose: pitrPurpose(damage), command: `dr pitr --to ${quoted(point)}`}]}
}

/** Just before a known instant; else the last one that was surely before. */
const pointOf = ({from, to}: When): string => (from === to ? secondBefore(from) : `${from.slice(0, 19)}Z`)

const quoted = (text: string): string => `'${text}'`

function partialCommand({kind, table, tenant, transaction, columns = []}: Draft, label: string): string {
  const what = kind === 'tenant-gone' ? ['--tenant', tenant ?? ''] : ['--table', table === undefined ? '' : tableName(table)]
  const how = kind === 'overwritten' ? [...(columns.length === 0 ? [] : ['--columns', columns.join(',')]), '--transaction', transaction ?? ''] : []
  // A transaction that is known by links that were set to NULL: they are to come back, too.
  const relink = kind === 'rows-gone' && transaction !== undefined ? ['--relink'] : []
  return ['dr', 'partial', ...what, ...how, '--from', label, '--merge', kind === 'overwritten' ? 'changed' : 'missing', ...relink].map(shellQuote).join(' ')
}

function purposeOf({kind, source}: Draft): string {
  if (kind === 'overwritten') return `puts back what the transaction overwrote, as it was in ${source?.label ?? 'the backup'}`
  return `brings back what is missing, as it was in ${source?.label ?? 'the backup'}`
}

/** Where a repair from a backup loses something, the other way is the exact one. */
function pitrPurpose({risk, source, kind}: Draft): string {
  if (source === undefined) return 'restores the state just before, beside the live database'
  const atRisk = (risk?.edited ?? 0) + (risk?.made ?? 0) > 0 || kind !== 'overwritten' || risk?.unknown !== undefined
  return atRisk ? 'the exact source: a copy of the state just before, with all that was written since the backup' : 'a copy of the state just before, as another source'
}
