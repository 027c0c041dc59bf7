import {rowsOf, type Client} from '../connection.ts'
import {quoteIdent} from '../quote.ts'
import {numbers, type ObjectNumber} from './made-objects.ts'

/** What has rights, with the letter by which the server knows those that it gives by itself. */
const HOLDERS = `
  SELECT 'TABLE' AS what, c.oid::regclass::text AS name, c.relowner AS owner, c.relacl AS acl, 'r'::"char" AS kind, 'pg_class'::regclass::oid AS catalog, c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  UNION ALL SELECT 'SEQUENCE', c.oid::regclass::text, c.relowner, c.relacl, 's', 'pg_class'::regclass, c.oid FROM pg_class c WHERE c.relkind = 'S'
  UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text, p.proowner, p.proacl, 'f', 'pg_proc'::regclass, p.oid FROM pg_proc p
  UNION ALL SELECT 'TYPE', t.oid::regtype::text, t.typowner, t.typacl, 'T', 'pg_type'::regclass, t.oid FROM pg_type t
  UNION ALL SELECT 'SCHEMA', n.oid::regnamespace::text, n.nspowner, n.nspacl, 'n', 'pg_namespace'::regclass, n.oid FROM pg_namespace n`

/** Of objects that an extension brought nothing: their rights are its own matter. */
const DIFFERING = `
  WITH h AS MATERIALIZED (SELECT h.* FROM (${HOLDERS}) h JOIN unnest($1::oid[], $2::oid[]) w (catalog, oid) USING (catalog, oid)
    WHERE h.acl IS NOT NULL AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = h.catalog AND d.objid = h.oid AND d.deptype = 'e')),
  has AS (SELECT what, name, owner, a.grantee, a.privilege_type AS privilege, a.is_grantable FROM h, aclexplode(h.acl) a),
  built_in AS (SELECT what, name, owner, a.grantee, a.privilege_type AS privilege, a.is_grantable FROM h, aclexplode(acldefault(h.kind, h.owner)) a)
  SELECT 1 AS step, what, name, privilege, pg_get_userbyid(owner)::text AS owner, pg_get_userbyid(nullif(grantee, 0))::text AS grantee FROM (TABLE has EXCEPT TABLE built_in) x
  UNION ALL SELECT 2, what, name, privilege, pg_get_userbyid(owner)::text, pg_get_userbyid(nullif(grantee, 0))::text FROM (TABLE built_in EXCEPT TABLE has) x ORDER BY 1, 2, 3, 4`

interface Right {
  /** 1: to be taken away; 2: to be given. */
  step: number
  what: string
  name: string
  privilege: string
  owner: string
  /** Null for PUBLIC. */
  grantee: string | null
}

/**
 * Gives objects that were just made the rights that the server gives by itself: those of an archive are told from there. What
 * ALTER DEFAULT PRIVILEGES has given or taken meanwhile would stay beside them. The session's search_path decides how names are written.
 */
export async function giveBuiltInRights(client: Client, made: readonly ObjectNumber[]): Promise<void> {
  for (const {step, what, name, privilege, owner, grantee} of await rowsOf<Right>(client, DIFFERING, numbers(made))) {
    const who = grantee === null ? 'PUBLIC' : quoteIdent(grantee)
    await client.query(`SET ROLE ${quoteIdent(owner)}; ${step === 1 ? 'REVOKE' : 'GRANT'} ${privilege} ON ${what} ${name} ${step === 1 ? 'FROM' : 'TO'} ${who}; RESET ROLE`)
  }
}
