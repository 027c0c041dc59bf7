import {ExitCode} from '../errors.ts'

/** One error of pg_restore or psql, tied to what it speaks of. */
export interface RestoreProblem {
  /** The entry that it speaks of: `INDEX public.leads_pkey`; undefined when none is named. For messages: lines of workers mix. */
  entry: string | undefined
  /** Of the entry, when the statement that failed proves that it is this one. */
  dumpId: number | undefined
  /** In the words of the server or of the tool, without data of the rows. */
  message: string
  /** The statement that failed: its first line. */
  command: string | undefined
  /** Where the tool says it: psql with VERBOSITY verbose does, pg_restore never. */
  sqlState?: string
}

export interface Majors {
  /** Of the tool that wrote the statement: pg_restore itself, or the pg_dump that wrote the SQL which psql plays. */
  clientMajor: number
  serverMajor: number
}

/** Harmless: what was asked for is there all the same. Repairable: the operator can say what is to be done. */
export type RuleClass = 'harmless' | 'repairable' | 'fatal'

/** What is known of one kind of error. Whatever no rule knows is fatal. */
export interface RestoreRule {
  /** Stands in findings and documents. */
  id: string
  class: RuleClass
  /** In one sentence. */
  reason: string
  /** `said` is the server's message without what the tool puts before it. What comes back are the parts that hints name. */
  match(said: string, problem: RestoreProblem, majors: Majors): readonly string[] | undefined
  /** Of the error that a restore ends with; not for harmless ones. */
  code: string
  exitCode: ExitCode
  hints: (parts: readonly string[]) => string[]
}

type Matcher = RestoreRule['match']

const harmless = (id: string, reason: string, match: Matcher): RestoreRule => ({id, class: 'harmless', reason, match, code: '', exitCode: ExitCode.ok, hints: () => []})
const repairable = (id: string, code: string, reason: string, match: Matcher, hints: RestoreRule['hints']): RestoreRule => ({id, class: 'repairable', reason, match, code, exitCode: ExitCode.failed, hints})
const fatal = (id: string, code: string, exitCode: ExitCode, reason: string, match: Matcher, hints: readonly string[]): RestoreRule => ({id, class: 'fatal', reason, match, code, exitCode, hints: () => [...hints]})

/** Matches the whole message. */
const says = (...patterns: readonly RegExp[]): Matcher => (said) => {
  for (const pattern of patterns) {
    const found = pattern.exec(said)
    if (found) return found.slice(1)
  }
  return undefined
}
/** Matches the whole message, and the statement from its beginning. */
const saysOf = (message: RegExp, command: RegExp): Matcher => (said, problem) => (command.test(problem.command ?? '') ? says(message)(said, problem, {clientMajor: 0, serverMajor: 0}) : undefined)
const any = (...matchers: readonly Matcher[]): Matcher => (...all) => matchers.map((match) => match(...all)).find((found) => found !== undefined)

export const TIMEOUT_RULE = 'transaction-timeout'
export const TIMEOUT_COMMAND = 'SET transaction_timeout = 0;'
/** pg_restore from 17 on sets transaction_timeout, which servers before 17 do not know: once per connection. */
export const knowsMore = ({clientMajor, serverMajor}: Majors): boolean => clientMajor >= 17 && serverMajor <= 16

const HARMLESS: readonly RestoreRule[] = [
  harmless(TIMEOUT_RULE, 'the tools of 17 and newer switch off a limit that servers before 17 do not have', (said, {command}, majors) =>
    (knowsMore(majors) && command === TIMEOUT_COMMAND && said === 'unrecognized configuration parameter "transaction_timeout"' ? [] : undefined)),
  harmless('schema-public', 'every new database has the schema public; its owner, comment and privileges are set all the same',
    saysOf(/^schema "public" already exists$/, /^CREATE SCHEMA "?public"?;?$/)),
  harmless('extension-comment', 'only the extension\'s owner may comment on it; CREATE EXTENSION has written the comment already',
    saysOf(/^must be owner of extension "?(.+?)"?$/, /^COMMENT ON EXTENSION /)),
  harmless('plpgsql', 'every new database has the language plpgsql, with the owner that the server gave it', any(
    saysOf(/^(?:language|extension) "plpgsql" already exists$/, /^CREATE (?:TRUSTED )?(?:PROCEDURAL )?LANGUAGE ['"]?plpgsql['"]?(?:;| |$)/),
    saysOf(/^must be owner of language plpgsql$/, /^(?:ALTER (?:PROCEDURAL )?LANGUAGE plpgsql OWNER TO |COMMENT ON (?:PROCEDURAL )?LANGUAGE plpgsql IS |CREATE OR REPLACE (?:TRUSTED )?(?:PROCEDURAL )?LANGUAGE ['"]?plpgsql)/),
  )),
  harmless('statistics', 'servers before 18 cannot be given statistics; ANALYZE makes new ones', () => undefined),
]

/** Not an error, but said as one: the entries are left out. */
export const leftOut = (dropped: readonly {kind: string}[]): HarmlessError[] => {
  const count = dropped.filter(({kind}) => kind === 'STATISTICS DATA').length
  return count === 0 ? [] : [{rule: 'statistics', subject: '', message: "the planner's statistics are left out", count}]
}

const LOST = /connection to server|server closed the connection|terminating connection|could not connect|lost synchronization|SSL SYSCALL|the database system is/
/** In pg_restore's own words; a server that refuses good rows says nothing about the backup. */
const UNREADABLE = /could not (open|read|close|decompress|uncompress)|decompress|unexpected end of file|input file|corrupt|did not find magic/
const MALFORMED_ROWS = /COPY failed.*(missing data for column|extra data after last|invalid byte sequence)/
const isDamage = (message: string) => MALFORMED_ROWS.test(message) || (!/\b(ERROR|FATAL|PANIC):  /.test(message) && UNREADABLE.test(message))
const REFUSED_OPTIONS = /unsupported startup parameter|command-line options|options.*not (supported|allowed)/i
const when = (test: (message: string) => boolean): Matcher => (_said, {message}) => (test(message) ? [] : undefined)

/** The first that matches counts. */
const OTHERS: readonly RestoreRule[] = [
  fatal('pooler', 'restore.pooler', ExitCode.preflight, 'a pooler in between refuses the settings that a restore needs', when((message) => REFUSED_OPTIONS.test(message)), ['Set DATABASE_URL to the direct address of the database, not to a pooler.']),
  fatal('connection-lost', 'restore.connection-lost', ExitCode.unreachable, 'the server ended the connection, or the network did', when((message) => LOST.test(message)), ['Run the restore again.']),
  fatal('disk-full', 'restore.disk-full', ExitCode.failed, 'the server has no room left', when((message) => /No space left on device|could not extend file/.test(message)), ['Free space on the database server, or restore into another server.']),
  fatal('damaged-data', 'restore.data', ExitCode.verification, 'the backup cannot be read, or its rows are not what COPY expects', when(isDamage), ['Check the backup: dr verify --level full', 'Restore another one: dr list']),
  fatal('refused-rows', 'restore.failed', ExitCode.failed, 'the server refuses rows that the backup holds', when((message) => message.startsWith('COPY failed')), [
    'The server refused rows of this table: look into its log, and at the CHECK constraints and types that the table uses.', 'dr verify --level full tells whether the backup itself is whole.',
  ]),
  repairable('missing-role', 'restore.roles', 'the server lacks a role that owns something or is granted something', says(/^role "(.+)" does not exist$/), ([role = '']) => [
    `--role-map ${role}=NEW gives what is this role's to another one; --create-roles makes the roles that are missing.`,
  ]),
  repairable('foreign-owner', 'restore.owners', 'only who may become a role can give it objects, or set its default privileges',
    says(/^must be (?:able to SET ROLE|member of role) "(.+)"$/, /^permission denied to (?:change default privileges)$/), ([role = '…']) => [
      `GRANT "${role}" TO the role that restores (from 16 on WITH INHERIT TRUE, SET TRUE), or --role-map ${role}=NEW, or restore as a superuser.`,
    ]),
  repairable('superuser-grantor', 'restore.superuser', 'a privilege was passed on by a role that only a superuser can act for', says(/^permission denied to set session authorization(?: "(.+)")?$/), () => ['Restore as a superuser.']),
  repairable('superuser-extension', 'restore.superuser', 'only a superuser, or the provider\'s own role, may create this extension', says(/^permission denied to create extension "(.+)"$/), ([name = '']) => [
    `--skip extension:${name} leaves it out, with what depends on it; or restore as a superuser.`,
  ]),
  repairable('missing-extension', 'restore.extensions', 'the server does not offer an extension', says(/^extension "(.+)" is not available$/, /^could not open extension control file ".*\/(.+)\.control": /), ([name = '']) => [
    `Install the package that has it on the server, or --skip extension:${name} to leave it out, with what depends on it.`,
  ]),
  repairable('superuser-event-trigger', 'restore.superuser', 'only a superuser may create event triggers', says(/^permission denied to (?:create event trigger|change owner of event trigger) "(.+)"$/), () => [
    '--skip event-triggers leaves them out; or restore as a superuser.',
  ]),
  repairable('superuser-publication', 'restore.superuser', 'only a superuser may publish all tables, or those of a schema',
    says(/^must be superuser to (?:create|add or set schemas|change owner) .*publication/i, /^permission denied to change owner of publication "(.+)"$/, /^must be superuser to add or set schemas$/), () => [
      '--skip publications leaves them out; or restore as a superuser.',
    ]),
  repairable('superuser-subscription', 'restore.superuser', 'only a superuser, or a member of pg_create_subscription, may create subscriptions', says(/^(?:permission denied to create subscription|must be superuser to create subscriptions)$/), () => [
    '--skip subscriptions leaves them out; or restore as a superuser.',
  ]),
  repairable('superuser-foreign-data', 'restore.superuser', 'only a superuser may create foreign-data wrappers, or who was granted one may create servers of it',
    says(/^permission denied to create foreign-data wrapper "(.+)"$/, /^permission denied to change owner of foreign-data wrapper "(.+)"$/, /^permission denied for foreign-data wrapper (.+)$/), () => [
      '--skip foreign-data leaves wrappers, servers and foreign tables out; or restore as a superuser.',
    ]),
]

/** Every rule; the order is that in which they are asked. */
export const RESTORE_RULES: readonly RestoreRule[] = [...HARMLESS, ...OTHERS]

export interface Judged {
  rule: RestoreRule
  parts: readonly string[]
}

/** The rule that knows this error, or undefined: then it is fatal. */
export function ruleOf(problem: RestoreProblem, majors: Majors): Judged | undefined {
  const said = saidBy(problem)
  for (const rule of RESTORE_RULES) {
    const parts = rule.match(said, problem, majors)
    if (parts) return {rule, parts}
  }
  return undefined
}

export const isHarmless = (problem: RestoreProblem, majors: Majors): boolean => ruleOf(problem, majors)?.rule.class === 'harmless'

/** The server's message alone: `role "x" does not exist`. */
const saidBy = ({message}: RestoreProblem) => message.replace(/^could not execute query: /, '').replace(/^(?:psql:.*?:\d+: )?ERROR: +(?:[0-9A-Z]{5}: )?/, '').trim()

/** An error that a rule forgave, for the result of the restore. */
export interface HarmlessError {
  rule: string
  /** The entry, or empty. */
  subject: string
  message: string
  count: number
}

/** Equal ones once, with their number. */
export function addHarmless(gathered: HarmlessError[], more: readonly HarmlessError[]): void {
  for (const one of more) {
    const same = gathered.find(({rule, subject, message}) => rule === one.rule && subject === one.subject && message === one.message)
    if (same) same.count += one.count
    else gathered.push({...one})
  }
}

/** What to say of a harmless error, in one line. */
export const harmlessReason = (id: string): string => RESTORE_RULES.find((rule) => rule.id === id)?.reason ?? ''

export const harmlessOf = (rule: string, problem: RestoreProblem): HarmlessError => ({rule, subject: rule === TIMEOUT_RULE ? '' : (problem.entry ?? ''), message: saidBy(problem), count: 1})
