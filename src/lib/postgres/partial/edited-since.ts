import {rowOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {MergeRequest, Selection} from './contract.ts'
import {sameTable, shapeOf} from './names.ts'
import {predicateSql} from './predicate.ts'

/** What an application calls the time of a row's last change. */
const WITNESSES = ['updatedAt', 'updated_at']

/**
 * Selected live rows that differ from the backup, and bear another time of change than there: somebody edited them in between,
 * which a transaction that has overwritten them since hides from everything else. Undefined where no table has such a column.
 */
export async function editedSince(client: Client, {live, backup, staged, selection}: Pick<MergeRequest, 'live' | 'backup' | 'staged' | 'selection'>): Promise<number | undefined> {
  let edited: number | undefined
  for (const entry of selection.tables) {
    const sql = queryOf(entry, {live, backup, staged})
    if (sql !== undefined) edited = (edited ?? 0) + (await rowOf<{count: number}>(client, sql)).count
  }
  return edited
}

function queryOf({table, where, role, columns}: Selection['tables'][number], {live, backup, staged}: Pick<MergeRequest, 'live' | 'backup' | 'staged'>): string | undefined {
  const [now, then, stage] = [shapeOf(live, table), shapeOf(backup, table), staged.find((one) => sameTable(one.table, table))]
  const witness = WITNESSES.find((name) => now?.columns.some((column) => column.name === name) && stage?.columns.includes(name))
  if (role !== 'rows' || now === undefined || then === undefined || stage?.key === undefined || witness === undefined) return undefined
  const shared = (columns ?? stage.columns).filter((name) => stage.columns.includes(name) && now.columns.some((column) => column.name === name && !column.generated))
  const differs = (name: string) => `r.${quoteIdent(name)}::text IS DISTINCT FROM s.${quoteIdent(name)}::text`
  return `SELECT count(*)::int AS count FROM ${now.kind === 'table' ? 'ONLY ' : ''}${qualified(table)} AS r JOIN ${qualified(stage.stage)} AS s ON ${stage.key.map((name) => `s.${quoteIdent(name)} = r.${quoteIdent(name)}`).join(' AND ')}
    WHERE ${differs(witness)} AND (${shared.map(differs).join(' OR ') || 'false'}) AND ${predicateSql(where, {side: 'live', table, tableFor: qualified})}`
}
