import {messageOf, preflightError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {TableName} from './contract.ts'
import {shownName} from './names.ts'

/** What this role may do with a table and its partitions. */
interface Rights extends TableName {
  role: string
  owner: string
  owns: boolean
  /** Privileges that it lacks. */
  lacking: string[]
  /** Row-level security hides rows from it. */
  filtered: boolean
  forced: boolean
  /** User triggers that would fire. */
  triggers: string[]
}

/** Throws `partial.row-security` or `partial.rights`, naming the table and the remedy, unless this role can do all of it. */
export async function assertRights(client: Client, tables: readonly TableName[]): Promise<void> {
  const rights = await rowsOf<Rights>(client, `
    SELECT w.schema, w.name, current_user AS role, pg_get_userbyid(c.relowner) AS owner, pg_has_role(c.relowner, 'USAGE') AS owns,
      ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p WHERE NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, p))) AS lacking,
      c.relforcerowsecurity AS forced, c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) AS filtered,
      ARRAY(SELECT DISTINCT t.tgname::text FROM pg_trigger t WHERE t.tgrelid IN (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')) AS triggers
    FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    JOIN pg_catalog.pg_roles r ON r.rolname = current_user ORDER BY 1, 2`, [tables.map(({schema}) => schema), tables.map(({name}) => name)])
  for (const one of rights) assertTable(one)
}

function assertTable({owner, role, owns, lacking, filtered, forced, triggers, ...table}: Rights): void {
  const name = shownName(table)
  const asOwner = `Connect as ${owner}, or as the superuser: GRANT ${quoteIdent(owner)} TO ${quoteIdent(role)}`
  if (filtered) {
    const remedy = forced && owns ? `ALTER TABLE ${qualified(table)} NO FORCE ROW LEVEL SECURITY, until the repair is done` : asOwner
    throw preflightError('partial.row-security', `Row-level security of ${name} hides rows from role ${role}: they would look lost.`, {hints: [remedy, `Or connect with a role that has BYPASSRLS.`]})
  }
  if (lacking.length > 0) throw preflightError('partial.rights', `Role ${role} may not ${lacking.join(', ')} in ${name}.`, {hints: [asOwner]})
  if (triggers.length > 0 && !owns) throw preflightError('partial.rights', `Role ${role} does not own ${name}, and may not switch off its triggers while rows come back: ${triggers.join(', ')}.`, {hints: [asOwner]})
}

/** The undo tables need a schema of their own. */
export async function assertMayCreate(client: Client): Promise<void> {
  const [row] = await rowsOf<{may: boolean; database: string; role: string}>(client, "SELECT has_database_privilege(current_database(), 'CREATE') AS may, current_database() AS database, current_user AS role")
  if (row?.may !== true) throw preflightError('partial.rights', `Role ${row?.role ?? ''} may not create the schema that holds what a merge replaces.`, {hints: [`GRANT CREATE ON DATABASE ${quoteIdent(row?.database ?? '')} TO ${quoteIdent(row?.role ?? '')}`]})
}

/** What the server says where a right is missing that nobody asked for before. */
export function rightsError(error: unknown): unknown {
  if (codeOf(error) !== '42501' || !/row-level security/.test(messageOf(error))) return error
  return preflightError('partial.row-security', `Row-level security hides rows from this role: ${messageOf(error)}.`, {cause: error, hints: ['Connect as the owner of the table, or with a role that has BYPASSRLS.']})
}

interface Trigger extends TableName {
  trigger: string
  enabled: 'O' | 'A'
}

const AGAIN: Readonly<Record<Trigger['enabled'], string>> = {O: 'ENABLE TRIGGER', A: 'ENABLE ALWAYS TRIGGER'}

/** Switches off the user triggers of these tables and their partitions; what comes back switches each on again as it was. Foreign keys stay on. */
export async function disableTriggers(client: Client, tables: readonly TableName[]): Promise<() => Promise<void>> {
  const triggers = await rowsOf<Trigger>(client, `
    SELECT DISTINCT n.nspname AS schema, c.relname AS name, t.tgname::text AS trigger, t.tgenabled::text AS enabled
    FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_catalog.pg_namespace wn ON wn.nspname = w.schema JOIN pg_catalog.pg_class wc ON wc.relnamespace = wn.oid AND wc.relname = w.name
    JOIN pg_catalog.pg_trigger t ON t.tgrelid IN (SELECT wc.oid UNION SELECT relid FROM pg_partition_tree(wc.oid)) JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') ORDER BY 1, 2, 3`, [tables.map(({schema}) => schema), tables.map(({name}) => name)])
  const alter = (one: Trigger, what: string) => client.query(`ALTER TABLE ONLY ${qualified(one)} ${what} ${quoteIdent(one.trigger)}`)
  for (const one of triggers) await alter(one, 'DISABLE TRIGGER')
  return async () => {
    for (const one of triggers) await alter(one, AGAIN[one.enabled])
  }
}
