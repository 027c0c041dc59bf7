import {DrError, preflightError} from '../../errors.ts'
import {rowOf, type Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {cascadedFrom} from './cascaded-tables.ts'
import type {TableName} from './contract.ts'
import type {Made} from './made.ts'
import {distinctTables, nameOf, sameTable} from './names.ts'
import {ACTING, type Plan, type Planned} from './plan.ts'
import {familyOf} from './relations.ts'
import {rehearse} from './revert.ts'
import type {Tally} from './tally.ts'
import {readUndo} from './undo-schema.ts'

/** What rows on their way back are in the way of. */
const IN_THE_WAY = /^(23505|23P01)$/

/**
 * Proves, before the COMMIT, that the merge can be taken back. Where every constraint holds for all rows that there were, they can
 * stand there again; where that is not certain it is done, under a savepoint, which takes as long as the merge itself once more. That
 * inserted rows can go again is clear where all keys to them are validated, since nobody else can name them yet; to delete them would
 * look for such rows one by one, so they are deleted only where they stand in the way. Throws `partial.irreversible` (exit 3).
 */
export async function assertReversible(client: Client, {live, plans, parking, request: {undoSchema}}: Planned, counts: Tally, made: Made | undefined): Promise<void> {
  const keys = live.foreignKeys.filter(({validated}) => !validated)
  const isMade = (table: {schema: string; name: string}) => made?.tables.some((one) => sameTable(one, table)) === true
  const isNamed = ({relation: {family}}: Plan) => keys.some(({references}) => sameTable(familyOf(live, references), family))
  const backed = plans.filter((plan) => !isMade(plan.relation.table) && counts.touches(plan) && (counts.of(plan, ACTING.filter((act) => act !== 'insert')) > 0 || isNamed(plan)))
  const touched = backed.map(({relation}) => relation.table)
  if (!backed.some(isNamed) && !await isDoubtful(client, touched, backed.map((plan) => parking.has(plan)))) return
  const undo = (await readUndo(client, undoSchema)).filter((one) => touched.some((table) => sameTable(table, one)))
  const undoing = {undo, live, tables: distinctTables([...touched, ...cascadedFrom({...live, foreignKeys: keys}, touched)]).map(nameOf)}
  for (const deletes of [false, true]) {
    await client.query('SAVEPOINT rehearsal')
    try {
      await rehearse(client, undoSchema, undoing, {deletes, keys})
      break
    } catch (error) {
      if (deletes || !IN_THE_WAY.test(codeOf((error as Error).cause) ?? '')) throw irreversible(error)
    } finally {
      await client.query('ROLLBACK TO SAVEPOINT rehearsal').catch(() => undefined)
    }
  }
  await client.query('RELEASE SAVEPOINT rehearsal')
}

/**
 * A constraint that rows need not have held to: it is not validated, it runs functions that somebody may have changed, or it excludes
 * what is in its way in the order in which rows come. Or one that is asked of the values that stand in for `moved` ones; without
 * checks these can stand in on the way back as well.
 */
async function isDoubtful(client: Client, tables: readonly TableName[], moved: readonly boolean[]): Promise<boolean> {
  if (tables.length === 0) return false
  const functions = (catalog: string, oid: string) => `EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.refclassid = 'pg_proc'::regclass)`
  const {doubtful} = await rowOf<{doubtful: boolean}>(client, `
    WITH t AS (SELECT u.oid, w.moved FROM unnest($1::text[], $2::text[], $3::bool[]) w (schema, name, moved) JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
      CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) u)
    SELECT EXISTS (SELECT FROM t JOIN pg_constraint c ON c.conrelid = t.oid WHERE coalesce((to_jsonb(c) ->> 'conenforced')::bool, true) AND (NOT c.convalidated OR c.contype = 'c' AND (t.moved OR ${functions('pg_constraint', 'c.oid')})))
      OR EXISTS (SELECT FROM t JOIN pg_index i ON i.indrelid = t.oid WHERE i.indisexclusion OR ${functions('pg_class', 'i.indexrelid')})
      OR EXISTS (SELECT FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid WHERE y.typtype = 'd') AS doubtful`, [tables.map(({schema}) => schema), tables.map(({name}) => name), moved])
  return doubtful
}

/** Refused by a constraint or by rows that name others; whatever else fails is not about the way back. */
function irreversible(error: unknown): unknown {
  if (!(error instanceof DrError) || !['partial.irreversible', 'partial.changed-since', 'partial.replica-identity'].includes(error.code)) return error
  return preflightError('partial.irreversible', `Nothing was changed, because it could not be taken back again: ${error.message}`, {cause: error, details: error.details, hints: [
    'Live rows are as a constraint would not let them be; often it is NOT VALID. Put these right first, or leave them out with --where.',
    'Or drop that constraint until the repair is done: ALTER TABLE … DROP CONSTRAINT …; afterwards ADD CONSTRAINT … NOT VALID',
    '--merge side changes nothing.',
  ]})
}
