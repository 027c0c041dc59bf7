import {rowsOf, type Client} from './connection.ts'
import {stageDatabaseName, timedName, timedNamePrefix} from './create-database.ts'

/**
 * - `kept`: was live until a restore took its place
 * - `undone`: was live until an undo took its place
 * - `ready`: restored, to take the live one's place
 * - `stage`: holds rows of a backup, for hand work; never to take anybody's place
 */
export type MarkKind = 'kept' | 'undone' | 'ready' | 'stage'

/** Stands in the comment of a database that dr keeps, before the comment that its operator gave it. */
export interface DatabaseMark {
  kind: MarkKind
  /** The live name that it had, or is to have. */
  live: string
  /** Its own name when it was marked. */
  name: string
  at: string
  /** That marked it. */
  run: string
  /** It was found not to be as in its backup. */
  flawed?: boolean
  /** The operator's. */
  comment?: string | undefined
}

export interface MarkedDatabase extends DatabaseMark {
  oid: number
  bytes: number | undefined
  /** Sessions in it. */
  sessions: number
  /** Mark and name agree: it is one that dr made or kept, and nobody has renamed it since. */
  proven: boolean
  /** The name that it has now. */
  database: string
}

const WORDS: Readonly<Record<MarkKind, string>> = {kept: 'before', undone: 'undone', ready: 'restore', stage: 'stage'}
const FORM = /^dr (kept|undone|ready|stage) ("(?:[^"\\]|\\.)*") as ("(?:[^"\\]|\\.)*") at (\S+) by (\S+)( with errors)?(?:\n([\s\S]*))?$/

/** `crm_before_20261122020000`, `crm_undone_…` */
export const keptName = (live: string, kind: MarkKind, at: Date): string => timedName(live, WORDS[kind], at)

export const markedComment = ({kind, live, name, at, run, flawed = false, comment}: DatabaseMark): string =>
  `dr ${kind} ${JSON.stringify(live)} as ${JSON.stringify(name)} at ${at} by ${run}${flawed ? ' with errors' : ''}${comment === undefined ? '' : `\n${comment}`}`

/** It was live once, and can be again. */
export const wasLive = ({kind}: Pick<DatabaseMark, 'kind'>): boolean => kind === 'kept' || kind === 'undone'

/** The mark in a comment, or undefined when it has none. */
export function readMark(comment: string | undefined): DatabaseMark | undefined {
  const [, kind, live, name, at, run, flawed, rest] = FORM.exec(comment ?? '') ?? []
  if (kind === undefined || live === undefined || name === undefined || at === undefined || run === undefined) return undefined
  try {
    return {kind: kind as MarkKind, live: JSON.parse(live) as string, name: JSON.parse(name) as string, at, run, ...(flawed !== undefined && {flawed: true}), comment: rest}
  } catch {
    return undefined
  }
}

/** What the operator wrote, without our mark. */
export const operatorsComment = (comment: string | undefined): string | undefined => {
  const mark = readMark(comment)
  return mark === undefined ? comment : mark.comment
}

/** Databases with a mark of ours, the newest mark first. A size that may not be asked for is undefined. */
export async function markedDatabases(client: Client): Promise<MarkedDatabase[]> {
  const rows = await rowsOf<{database: string; oid: string; comment: string; bytes: string | null; sessions: number}>(client, `
    SELECT d.datname AS database, d.oid::text AS oid, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
      CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid)::text END AS bytes,
      (SELECT count(*)::int FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL) AS sessions
    FROM pg_catalog.pg_database d WHERE NOT d.datistemplate AND pg_catalog.shobj_description(d.oid, 'pg_database') LIKE 'dr %' ORDER BY 1`)
  return rows.flatMap(({database, oid, comment, bytes, sessions}) => {
    const mark = readMark(comment)
    return mark === undefined ? [] : [{...mark, database, oid: Number(oid), bytes: bytes === null ? undefined : Number(bytes), sessions, proven: isProven(mark, database)}]
  }).toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
}

/** A restored one has whatever name it was given; the others the name that dr makes. */
function isProven({kind, live, name, run}: DatabaseMark, database: string): boolean {
  if (kind === 'stage') return name === database && name === stageDatabaseName(live, run)
  return name === database && name !== live && (kind === 'ready' || name.startsWith(timedNamePrefix(live, WORDS[kind])))
}
