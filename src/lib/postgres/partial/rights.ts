import {rowOf, type Client} from '../connection.ts'

export interface PartialRights {
  user: string
  /** Of the database. */
  owner: string
  /** What this role may not make in it. */
  missing: ('schemas' | 'temporary tables')[]
}

/** Whether the connected role can make what a partial restore needs beside the tables. */
export async function partialRights(client: Client): Promise<PartialRights> {
  const row = await rowOf<{user: string; owner: string; schemas: boolean; temporary: boolean}>(client, `
    SELECT current_user::text AS user, pg_get_userbyid(d.datdba)::text AS owner, has_database_privilege(d.oid, 'CREATE') AS schemas, has_database_privilege(d.oid, 'TEMPORARY') AS temporary
    FROM pg_catalog.pg_database d WHERE d.datname = current_database()`)
  return {user: row.user, owner: row.owner, missing: [...(row.schemas ? [] : ['schemas' as const]), ...(row.temporary ? [] : ['temporary tables' as const])]}
}
