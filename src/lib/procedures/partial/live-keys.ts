import type {Client} from '../../postgres/connection.ts'
import type {Catalog, Predicate, TableName} from '../../postgres/partial/contract.ts'
import {shapeOf} from '../../postgres/partial/names.ts'
import {liveKeysCondition, rowCondition} from '../../postgres/partial/stage-rows.ts'
import type {PlannedTable} from './plan.ts'

/** A condition on rows of the backup whose key a live row of the selection bears; undefined where there is no such row, or no key. */
export async function ofLiveKeys(client: Client, catalog: Catalog, {table, live, key, where}: PlannedTable): Promise<string | undefined> {
  if (live === undefined || key === undefined) return undefined
  const typeIn = ({columns}: PlannedTable['table'], name: string) => columns.find((one) => one.name === name)?.type
  const sameTypes = key.every((name) => typeIn(table, name) === typeIn(live, name))
  return liveKeysCondition(client, {table: live, key, where, sameTypes}, (name: TableName) => shapeOf(catalog, name))
}

/** Which rows COPY takes: by what one row tells by itself, and by `more`. */
export function stagingCondition({where, more}: {where: Predicate; more?: string}): string | undefined {
  const own = rowCondition(where)
  return own === undefined || more === undefined ? own : `(${own}) OR (${more})`
}
