import {preflightError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {quoteIdent, quoteLiteral} from '../quote.ts'

/** What the names of schemas begin with that hold what a run needs to be taken back. */
export const PREFIX = 'dr_undo_'

/** `made`: what was made anew, and no rows yet. `undo`: what a merge replaced. `undone`: taken back, but others have objects in it. */
export type Mark = 'made' | 'undo' | 'undone'

export const runOf = (schema: string): string => schema.replace(PREFIX, '')
export const markOf = (schema: string, mark: Mark): string => `dr partial ${runOf(schema)}, ${mark}`
export const markSql = (schema: string, mark: Mark): string => `COMMENT ON SCHEMA ${quoteIdent(schema)} IS ${quoteLiteral(markOf(schema, mark))}`

/** Makes the schema, for nobody but its owner. Throws `partial.undo-exists` (exit 3). */
export async function createRunSchema(client: Client, schema: string, mark: Mark): Promise<void> {
  const there = await rowsOf(client, 'SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [schema])
  if (there.length > 0) throw preflightError('partial.undo-exists', `There is a schema ${schema} already.`, {hints: ['dr undo reverts the merge that made it; dr restore clean-up lists it.']})
  await client.query(`CREATE SCHEMA ${quoteIdent(schema)}`)
  await client.query(markSql(schema, mark))
}
