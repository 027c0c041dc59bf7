import type {Finding} from '../../checks/finding.ts'
import {withClient} from '../../postgres/connection.ts'
import {databaseNames} from '../../postgres/database-names.ts'
import type {CutoverOptions, Party} from './cutover-options.ts'
import {targetAt} from './target.ts'

export interface OtherDatabases {
  /** All but that of DATABASE_URL; nothing in them is counted. */
  names: string[]
  /** Those of them that the instance that comes in has not. */
  missing: Finding[]
}

/** What an instance holds besides the database of DATABASE_URL, and whether the one that takes its place has it, too. */
export async function otherDatabases(options: Pick<CutoverOptions, 'target' | 'config'>, {goes, comes}: {goes: Party; comes: Party}, applicationName: string): Promise<OtherDatabases> {
  const namesOf = (party: Party) => withClient(targetAt(options.target, party, options), {applicationName}, databaseNames)
  const [was, is] = await Promise.all([namesOf(goes), namesOf(comes)])
  return {
    names: was.filter((name) => name !== options.target.database),
    missing: was.filter((name) => !is.includes(name)).map((name) => ({code: 'pitr.no-database', severity: 'warning', subject: comes.id, message: `has no database ${name}: all of it stays in ${goes.id} alone`})),
  }
}

/** Said beside what is counted; nothing where there is no other database. */
export const notCounted = (names: readonly string[] | undefined, counted: string, stays: string): string[] =>
  (names === undefined || names.length === 0 ? [] : [`            in ${counted} alone; not counted: ${names.join(', ')} (what was written there since ${stays})`])
