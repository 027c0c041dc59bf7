import {messageOf, usageError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {codeOf, isConnectionLost, statementError} from '../errors.ts'
import {qualified} from '../quote.ts'
import type {TableName} from './contract.ts'
import {rightsError} from './guard.ts'
import {distinctTables, shownName} from './names.ts'

/** Refuses, in the server's words, a condition of the operator's that is no condition of this table's rows. It is planned, not run. Resolves to the tables that it looks into beside the row, by the plan. */
export async function assertCondition(client: Client, table: TableName, text: string): Promise<TableName[]> {
  try {
    await client.query('BEGIN READ ONLY')
    // Prepared: one statement, whatever the text holds.
    const {rows: [row]} = await client.query<{'QUERY PLAN': [{Plan: PlanNode}]}>({text: `EXPLAIN (VERBOSE, FORMAT JSON) SELECT FROM ${qualified(table)} AS r WHERE (\n${text}\n)`, queryMode: 'extended'} as {text: string})
    await client.query('ROLLBACK')
    return row === undefined ? [] : othersIn(row['QUERY PLAN'][0].Plan)
  } catch (error) {
    if (isConnectionLost(error)) throw error
    if (codeOf(error) === '42501') throw statementError(rightsError(error), `Reading ${shownName(table)}`)
    throw usageError('partial.where', `--where is no condition on ${shownName(table)}: ${messageOf(error)}`, {cause: error, hints: ['Quote it for the shell as one argument; names with capitals need their own quotes: --where \'"tenantId" = …\'']})
  }
}

export interface PlanNode {
  Schema?: string
  'Relation Name'?: string
  Alias?: string
  Plans?: PlanNode[]
}

/** The planner calls the table `r`, and its partitions `r_1` and so on. */
const OWN = /^r(_\d+)?$/

/** Tables that a plan reads beside the one that is called `r`. */
export function othersIn({Schema: schema = '', 'Relation Name': name, Alias: alias = '', Plans: plans = []}: PlanNode): TableName[] {
  return distinctTables([...(name === undefined || OWN.test(alias) ? [] : [{schema, name}]), ...plans.flatMap(othersIn)])
}
