import {shapeOf, type SqlStatement} from './tokens.ts'

/** Why a statement is not handed to the server, or not to every server. */
export interface Omission {
  /** Stable; stands in findings. */
  rule: 'restrict' | 'byte-order-mark' | 'display' | 'own-database' | 'drop-first' | 'schema-public' | 'extension-comment' | 'transaction-timeout' | 'statistics'
  /** Only for servers before this major. */
  beforeMajor?: number
  /** Only where the role that restores is no superuser. */
  unlessSuperuser?: boolean
}

export const omissionWords: Readonly<Record<Omission['rule'], string>> = {
  restrict: 'lines with which newer pg_dump guards psql',
  'byte-order-mark': 'the byte order mark at its beginning',
  display: 'commands of psql that only change what it shows',
  'own-database': 'statements that make or change the source\'s database by its name: what is restored goes into the new one',
  'drop-first': 'DROP statements at its beginning: the new database is empty',
  'schema-public': 'CREATE SCHEMA public, which every new database has',
  'extension-comment': 'comments on extensions, which only the owner of an extension may set',
  'transaction-timeout': 'SET transaction_timeout, which this server does not know',
  statistics: 'statistics of the planner, which this server cannot set: ANALYZE makes new ones',
}

interface Refusal {
  shape: RegExp
  why: string
}

/** What no script may do, however it got there. By the shape of the statement: a quoted name never passes for a word. */
const REFUSED: readonly Refusal[] = [
  {shape: /^copy\b.* (from|to) program\b/, why: 'it runs a program on the server'},
  {shape: /^copy\b.* (from|to) '/, why: 'it reads or writes a file of the server'},
  {shape: /^copy\b.* from stdin\b.*\bbinary\b/, why: 'its rows are binary, which cannot stand in a script'},
  {shape: /^alter system\b/, why: 'it changes settings of the whole server'},
  {shape: /^(create|drop) database\b/, why: 'it makes or drops a database, and does not go on to connect to it as pg_dump --create does'},
  {shape: /^(create|alter|drop) tablespace\b/, why: 'it changes tablespaces of the whole server'},
  {shape: /^(create|alter|drop) (role|user|group)\b(?! mapping)/, why: 'it changes roles of the whole server'},
  {shape: /^create subscription\b(?!.* with \( connect = false\b)/, why: 'it connects to another server'},
  {shape: /^(create table|drop table|insert into|lock tables)( if (not )?exists)? `/, why: 'it is SQL of MySQL: its names stand in backquotes'},
]

const UNFOLLOWED = 'it changes how text is read, in a way that cannot be followed'
const GRANTS_ROLE = /^(grant|revoke) (?!.* on ).* (to|from) /

/** Why a statement may not run at all; undefined when it may. */
export function refusalOf({tokens}: Pick<SqlStatement, 'tokens'>): string | undefined {
  const shape = shapeOf(tokens)
  const refused = REFUSED.find((one) => one.shape.test(shape))
  if (refused) return refused.why
  if (GRANTS_ROLE.test(shape)) return 'it changes roles of the whole server'
  if (/^((reset|set local) (standard_conforming_strings|client_encoding)|reset all|discard all)\b/.test(shape)) return UNFOLLOWED
  if (/^select\b.*set_config \( '/.test(shape) && (mentions(tokens, 'standard_conforming_strings') || mentions(tokens, 'client_encoding'))) return UNFOLLOWED
  return undefined
}

const mentions = (tokens: SqlStatement['tokens'], text: string) => tokens.some((token) => token.text.toLowerCase() === text)

/** What is left out on some servers, whoever wrote it. */
export function omissionOf(statement: Pick<SqlStatement, 'tokens'>): Omission | undefined {
  const shape = shapeOf(statement.tokens)
  if (/^comment on extension\b/.test(shape)) return {rule: 'extension-comment', unlessSuperuser: true}
  if (shape === 'set transaction_timeout = 0') return {rule: 'transaction-timeout', beforeMajor: 17}
  if (/^select \* from pg_catalog \. pg_restore_(relation|attribute)_stats\b/.test(shape)) return {rule: 'statistics', beforeMajor: 18}
  return undefined
}

const DROPS = [
  /^drop (?!schema (if exists )?public\b|database\b|role\b|user\b(?! mapping)|group\b|tablespace\b|owned\b|subscription\b)/, /^alter (table|domain|view|materialized view) .*\bdrop (constraint|default)\b/,
  /^alter table .*\balter column \S+ drop (default|identity|not null)\b/, /^alter publication .* drop\b/, /^select pg_catalog \. lo_unlink \( ' \)$/,
]

/** At the beginning of a script that cleans up first: an empty database has none of it. */
export const isDrop = ({tokens}: Pick<SqlStatement, 'tokens'>): boolean => {
  const shape = shapeOf(tokens)
  return DROPS.some((pattern) => pattern.test(shape))
}

/** Says how strings are read from here on; undefined when the statement does not. */
export function stringsSetting({tokens}: Pick<SqlStatement, 'tokens'>): boolean | undefined {
  if (tokens[0]?.text !== 'set' || !/^set (session )?standard_conforming_strings (=|to) /.test(shapeOf(tokens))) return undefined
  const value = tokens.at(-1)?.text.toLowerCase() ?? ''
  return !/^(off|of|false|fals|fal|fa|f|no|n|0)$/.test(value)
}

/** What cannot run inside of one transaction, or ends it. */
export const endsTransaction = ({tokens}: Pick<SqlStatement, 'tokens'>): boolean =>
  /^(begin|start transaction|commit|end|rollback|abort|prepare transaction|vacuum|create (unique )?index concurrently|drop index concurrently|reindex .*\bconcurrently|alter table .*\bdetach partition .* concurrently|create subscription|cluster)\b/.test(shapeOf(tokens))

/** Encodings in which a byte of ASCII may be a part of another character: a script in them cannot be read safely. */
const UNSAFE = /^(sjis|mskanji|shiftjis(2004)?|big5|gbk|uhc|johab|gb18030|win(dows)?9(32|36|49|50))$/

/** `SET client_encoding`: the name as the script has it. */
export function encodingOf({tokens}: Pick<SqlStatement, 'tokens'>): string | undefined {
  if (!/^set (session )?(client_encoding (=|to)|names) /.test(shapeOf(tokens))) return undefined
  return tokens.at(-1)?.text
}

export const isUnsafeEncoding = (name: string): boolean => UNSAFE.test(name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''))
