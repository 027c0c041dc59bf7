import {rowsOf, type Client} from '../connection.ts'

/**
 * How types of the live database are written in a database beside it that has none of its own: builtin ones as they are, domains over
 * those as what they are made of, all others (enums, composites, those of extensions) as text, which is what COPY writes of them. A
 * type that is not live is text, too. The session's search_path is pg_catalog alone.
 */
export async function sideTypes(client: Client, types: readonly string[]): Promise<Map<string, string>> {
  const rows = await rowsOf<{type: string; side: string}>(client, `
    SELECT w.type, CASE WHEN n.nspname = 'pg_catalog' THEN w.type WHEN t.typtype = 'd' AND bn.nspname = 'pg_catalog' THEN format_type(t.typbasetype, t.typtypmod) ELSE 'text' END AS side
    FROM unnest($1::text[]) AS w (type) LEFT JOIN pg_type t ON t.oid = to_regtype(w.type) LEFT JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_type b ON b.oid = t.typbasetype LEFT JOIN pg_namespace bn ON bn.oid = b.typnamespace`, [[...new Set(types)]])
  return new Map(rows.map(({type, side}) => [type, side]))
}

/** Of a type as the catalog writes it: builtin ones have no schema before their name. */
export const isBuiltin = (type: string): boolean => !type.includes('.')
