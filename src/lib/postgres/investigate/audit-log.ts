import {rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {iso, ofTenant} from './tables.ts'

/** Where the application notes who did what. */
export interface AuditLog {
  /** With or without its schema. */
  table: string
  time: string
  actor: string
  action: string
  resource: string
  resourceId: string
}

/** What one actor did to one kind of thing within one hour. */
export interface AuditHour {
  /** Its beginning: ISO, UTC. */
  hour: string
  actor: string | null
  action: string
  resource: string | null
  entries: number
  /** Different things, by their id. */
  things: number
  first: string
  last: string
}

export interface AuditOptions {
  /** ISO. */
  since: string
  until?: string | undefined
  actor?: string | undefined
  tenant?: {column: string; id: string} | undefined
  limit: number
}

/** Words for a deletion, and for a change, in any of an application's names for them. */
const DELETION = 'delet|remov|destroy|purg|truncat|drop|wipe|clear|erase'
const CHANGE = 'updat|edit|chang|modif|bulk|import|merg|archiv|assign|restor'
export const isDeletion = (action: string): boolean => new RegExp(DELETION, 'i').test(action)

/** Deletions and changes by hour, actor, action and kind of thing, those with most entries first. The table must be there, with these columns; a time without a zone is UTC, as the session's zone must be. */
export async function auditHours(client: Client, table: {schema: string; name: string}, log: AuditLog, {since, until, actor, tenant, limit}: AuditOptions): Promise<AuditHour[]> {
  const [time, who, action, resource, id] = [log.time, log.actor, log.action, log.resource, log.resourceId].map(quoteIdent)
  const values = [since, until ?? null, limit, actor ?? null, ...(tenant === undefined ? [] : [tenant.id])]
  const rows = await rowsOf<Omit<AuditHour, 'entries' | 'things'> & {entries: string; things: string}>(client, `
    SELECT ${iso(`date_trunc('hour', ${time}::timestamptz)`)} AS hour, ${who}::text AS actor, ${action}::text AS action, ${resource}::text AS resource,
      count(*)::text AS entries, count(DISTINCT ${id}::text)::text AS things, ${iso(`min(${time}::timestamptz)`)} AS first, ${iso(`max(${time}::timestamptz)`)} AS last
    FROM ${qualified(table)}
    WHERE ${time} >= $1::timestamptz AND ($2::text IS NULL OR ${time} <= $2::timestamptz) AND ${action}::text ~* '(${DELETION}|${CHANGE})'
      AND ($4::text IS NULL OR ${who}::text = $4) ${tenant === undefined ? '' : `AND ${ofTenant(tenant.column, '$5')}`}
    GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC, 1 DESC LIMIT $3`, values)
  return rows.map(({entries, things, ...row}) => ({...row, entries: Number(entries), things: Number(things)}))
}
