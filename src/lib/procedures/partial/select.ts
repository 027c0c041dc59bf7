import {usageError} from '../../errors.ts'
import {sharedColumns} from '../../postgres/partial/shared-columns.ts'
import type {Catalog, TableName} from '../../postgres/partial/contract.ts'
import {keyOf, sameTable, shapeOf} from '../../postgres/partial/names.ts'
import {madeAlone, type Made} from '../../postgres/partial/made.ts'
import {selectRows} from '../../postgres/partial/selection.ts'
import {assertStillThere} from '../../postgres/partial/unmake.ts'
import {assertCondition} from '../../postgres/partial/condition.ts'
import {assertTransaction} from '../../postgres/partial/transaction.ts'
import {tableText} from '../../report/partial-lines.ts'
import type {Step} from '../../runbook/procedure.ts'
import {refuseBeside} from './beside.ts'
import type {Recreated} from './options.ts'
import {needed, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'

/** What is staged only to see what hangs on the rows takes no more than this beside them. */
const BESIDE_BYTES = 8_000_000
const BESIDE_ROWS = 500_000

/** Which rows are meant, by the catalogs of both sides. */
export function selectStep(options: PartialOptions, work: PartialWork): Step<PartialState> {
  const {wish, config} = options
  return {
    id: 'partial.select',
    title: 'Find what is to come back',
    effect: 'read',
    byHand: () => [],
    async run(state, io) {
      const made = await madeBefore(work, state)
      const {selection, lost, notes} = selectRows(wish, {...work.catalogs, tenantColumn: config.database.tenantColumn})
      if (made) notes.push(`An earlier process of this run has made ${made.tables.map(tableText).join(', ')} anew, without rows; dr resume ${io.run} --undo takes that away again.`)
      const [first] = selection.tables
      const {where} = wish
      const others = where === undefined || first === undefined ? [] : await work.inLive((client) => assertCondition(client, first.table, where))
      if (others.length > 0) notes.push(`--where looks into ${others.map(tableText).join(', ')}, as ${others.length === 1 ? 'it is' : 'they are'} live: for the rows of the backup, too.`)
      const {transaction} = wish
      if (transaction !== undefined) await work.inLive((client) => assertTransaction(client, transaction))
      Object.assign(state, {selection, lost, notes: [...notes, ...sharedColumns(selection, work.catalogs), ...notLookedAt(options, work, {...state, selection})]})
      for (const note of state.notes) io.notice(note)
      if (work.isBeside) await refuseBeside(options, work, state, alsoStaged(options, work, state).map((table) => ({table})), io.signal)
      if (state.way === 'missing' && wish.columns) throw usageError('partial.merge', 'Nothing is inserted with --columns.')
    },
  }
}

/** What an earlier process of this run has made anew, whatever the journal knows of it. */
async function madeBefore(work: PartialWork, state: PartialState): Promise<Made | undefined> {
  const made = await work.inLive(async (client) => {
    const found = await madeAlone(client, needed(state.undoSchema, 'undo schema'))
    if (found) await assertStillThere(client, found)
    return found
  })
  if (made) state.recreated = made.note as Recreated
  return made
}

/** Tables that name the selected ones: whether rows went with them, or lost their link, is seen when they are staged, too. */
function children({selection}: PartialState, {backup, live}: {backup: Catalog; live: Catalog}): TableName[] {
  const {tables} = needed(selection, 'selection')
  const rows = tables.filter(({role, columns}) => role === 'rows' && columns === undefined).map(({table}) => table)
  const naming = backup.foreignKeys.filter((key) => rows.some((table) => sameTable(table, key.references)) && ['cascade', 'set null', 'set default'].includes(key.onDelete))
  const names = new Map(naming.map(({table}) => [keyOf(table), table]))
  for (const {table} of tables) names.delete(keyOf(table))
  return [...names.values()].filter((table) => shapeOf(live, table) !== undefined && shapeOf(backup, table)?.root === undefined)
}

/** As many of them as cost little, the smallest first. */
export function alsoStaged(options: PartialOptions, work: PartialWork, state: PartialState): TableName[] {
  const sized = children(state, work.catalogs).map((table) => ({table, size: sizeOf(options, work, table)})).toSorted((one, other) => one.size - other.size)
  const limit = (options.from.kind === 'backup' ? BESIDE_BYTES : BESIDE_ROWS) + needed(state.selection, 'selection').tables.reduce((sum, {table}) => sum + sizeOf(options, work, table), 0)
  let total = 0
  return sized.flatMap(({table, size}) => ((total += size) <= limit ? [table] : []))
}

/** Bytes of a backup's member; else rows, as the planner of the live database guesses. */
function sizeOf({from}: PartialOptions, work: PartialWork, table: TableName): number {
  if (from.kind !== 'backup') return shapeOf(work.catalogs.live, table)?.estimatedRows ?? 0
  const {tables, members} = from.backup.manifest
  const ids = tables.filter((one) => sameTable(one, table)).map(({dumpId}) => dumpId)
  return members.filter(({name}) => ids.some((id) => name.startsWith(`${id}.dat`))).reduce((sum, {bytes}) => sum + bytes, 0)
}

function notLookedAt(options: PartialOptions, work: PartialWork, state: PartialState): string[] {
  if (state.wish.tenant !== undefined) return []
  const seen = alsoStaged(options, work, state)
  const rest = children(state, work.catalogs).filter((table) => !seen.some((one) => sameTable(one, table)))
  return rest.length === 0 ? [] : [`Not looked at, because it is large: whether rows of ${rest.map(tableText).join(', ')} went with these, or lost their link to them. --relink puts links back; --table ${tableText(rest[0] ?? {schema: '', name: ''})} takes the rows, too.`]
}
