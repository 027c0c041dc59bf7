import {closest} from '../../config/problem.ts'
import type {Client} from '../../postgres/connection.ts'
import {auditHours, isDeletion} from '../../postgres/investigate/audit-log.ts'
import type {WholeTable} from '../../postgres/investigate/tables.ts'
import type {AuditFinding} from '../../report/investigation.ts'
import type {KnownBackup} from './history.ts'
import {compare} from './instants.ts'
import {askingTable} from './looking.ts'
import type {InvestigateOptions} from './options.ts'

const MOST_HOURS = 40
const DAY_MS = 24 * 60 * 60_000

/** What the application noted: deletions and changes since `since`, else since the oldest backup that was read or for a day. A log that is not there, or cannot be read, is said so. */
export async function auditOf(client: Client, {config, since, actor, tenant}: InvestigateOptions, {backups, at, tables}: {backups: readonly KnownBackup[]; at: string; tables: readonly WholeTable[]}): Promise<AuditFinding> {
  const {investigate: {auditLog}, database: {tenantColumn}} = config
  const dayAgo = new Date(Date.parse(at) - DAY_MS).toISOString()
  const oldest = backups.at(-1)?.at ?? dayAgo
  const from = since ?? (compare(oldest, dayAgo) < 0 ? oldest : dayAgo)
  const finding: AuditFinding = {table: auditLog.table, since: from, hours: []}
  const table = tables.find(({schema, name}) => auditLog.table === name || auditLog.table === `${schema}.${name}`)
  if (table === undefined) return {...finding, unknown: `there is no table ${auditLog.table}; investigate.auditTable names another`}
  const {schema, name, columns} = table
  const missing = [auditLog.time, auditLog.actor, auditLog.action, auditLog.resource, auditLog.resourceId].find((column) => !columns.includes(column))
  if (missing !== undefined) {
    const near = closest(missing, columns)
    return {...finding, unknown: `${name} has no column ${missing}${near === undefined ? '' : ` (${near}?)`}; investigate.audit… names others`}
  }
  const answer = await askingTable(client, table, () => auditHours(client, {schema, name}, auditLog, {since: from, actor, limit: MOST_HOURS, ...(tenant !== undefined && columns.includes(tenantColumn) && {tenant: {column: tenantColumn, id: tenant}})}))
  if ('trouble' in answer) return {...finding, unknown: answer.trouble}
  return {...finding, hours: answer.value.map((hour) => ({...hour, deletion: isDeletion(hour.action)}))}
}
