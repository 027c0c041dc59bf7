import type {Finding} from '../../checks/finding.ts'
import type {Client} from '../../postgres/connection.ts'
import {isPreserved, storageOptions} from '../../postgres/investigate/preserve.ts'
import {analyzeTables, refreshViews, type AnalyzedTable, type RefreshedView, type RefreshOptions} from '../../postgres/partial/aftermath.ts'
import type {Catalog, RevertResult, TableName} from '../../postgres/partial/contract.ts'
import {ancestorsOf, nameOf, sameTable} from '../../postgres/partial/names.ts'
import {tableText} from '../../report/partial-lines.ts'

export const viewFindings = (views: readonly RefreshedView[]): Finding[] =>
  views.map(({schema, name, skipped}) => ({code: 'partial.view', severity: skipped === undefined ? 'ok' : 'warning', subject: `${schema}.${name}`, message: skipped === undefined ? 'refreshed' : `not refreshed: ${skipped}`}))

export const analyzeFindings = (tables: readonly AnalyzedTable[]): Finding[] =>
  tables.flatMap(({schema, name, trouble}) => (trouble === undefined ? [] : [{code: 'partial.analyze', severity: 'warning', subject: `${schema}.${name}`, message: `no new statistics: ${trouble}`}]))

/** What depends on rows that were taken back again: materialized views and the planner's statistics. Of tables that are gone nothing does. */
export async function afterRevert(client: Client, {tables, dropped}: RevertResult, options: RefreshOptions): Promise<Finding[]> {
  const left = tables.filter((table) => !dropped.some((one) => sameTable(one, table))).map(nameOf)
  return [...viewFindings(await refreshViews(client, left, options)), ...analyzeFindings(await analyzeTables(client, left, options.signal))]
}

/** Tables that grow until their autovacuum is on again. Whoever has the damage looked into may have it switched off (`--preserve`). */
export async function withoutAutovacuum(client: Client, catalog: Catalog, tables: readonly TableName[]): Promise<Finding[]> {
  const parts = catalog.tables.filter((shape) => [shape, ...ancestorsOf(catalog, shape)].some((one) => tables.some((table) => sameTable(table, one))))
  const off = (await storageOptions(client, parts.map(({oid}) => oid))).filter(isPreserved)
  return off.length === 0 ? [] : [{code: 'partial.autovacuum', severity: 'info', subject: off.map(tableText).join(', '), message: 'autovacuum is off. When no more has to be repaired, and dr investigate --preserve has done it: dr investigate --release'}]
}
