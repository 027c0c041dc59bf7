import {judgeCommand} from './commands.ts'
import {nameBehind, noRoles, noteRoles, type NamedRoles} from './names.ts'
import {encodingOf, endsTransaction, isDrop, isUnsafeEncoding, omissionOf, refusalOf, stringsSetting, type Omission} from './rules.ts'
import {SqlScanner} from './scanner.ts'
import {shapeOf, type OpenEnd, type SqlItem, type SqlStatement, type Token} from './tokens.ts'

/** A line as it is shown. */
export interface ShownLine {
  line: number
  text: string
}

/** What is not handed to psql: bytes of the script from `from` up to `to`. */
export interface Cut extends Omission, ShownLine {
  from: number
  to: number
}

/** What a script turned out to be. Plain data but for the roles. */
export interface ScriptFacts {
  /** By the comment at its beginning. */
  madeBy: 'pg_dump' | 'pg_dumpall' | undefined
  /** Of the server and of pg_dump, as the script states them. */
  serverVersion?: string
  toolVersion?: string
  /** It ends with pg_dump's last line. */
  complete: boolean
  /** Something follows that line. */
  more: boolean
  /** It breaks off in the middle of something. */
  open?: OpenEnd
  bytes: number
  lines: number
  encoding?: string
  /** `CREATE DATABASE`, when the script also connects to it. */
  database?: {name: string; tokens: readonly Token[]}
  cuts: Cut[]
  refused: (ShownLine & {why: string})[]
  /** The first statement that cannot run in one transaction. */
  notInTransaction?: ShownLine
  statements: number
  /** Statements that make or alter something, each of which takes a lock. */
  definitions: number
  tables: number
  /** Behind COPY. */
  rows: number
  roles: NamedRoles
  extensions: string[]
}

const MOST_SHOWN = 160
/** Of UTF-8: psql passes over it only at the very beginning. */
const MARK = Buffer.from([0xef, 0xbb, 0xbf])
const MOST_REFUSED = 20

/** On one line, without the values of an INSERT, which are data. */
export function shownText(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  const bare = /^insert\b/i.test(line) ? line.replace(/\bvalues\b.*$/is, 'VALUES …') : line
  return bare.length > MOST_SHOWN ? `${bare.slice(0, MOST_SHOWN)}…` : bare
}

/** Reads a whole script, and says what it is, what of it is not to be run, and what must not be run at all. */
export class ScriptScan {
  readonly #scanner = new SqlScanner((item) => { this.#item(item) })
  readonly #facts: ScriptFacts = {madeBy: undefined, complete: false, more: false, bytes: 0, lines: 0, cuts: [], refused: [], statements: 0, definitions: 0, tables: 0, rows: 0, roles: noRoles(), extensions: []}
  /** Databases that the script makes or drops, until it connects to them. */
  readonly #pending = new Map<string, {statement: SqlStatement; why: string}[]>()
  /** Something was made: a DROP from here on is no cleaning up before. */
  #begun = false
  #dropsPublic = false

  add(chunk: Buffer): void {
    const isMarked = this.#facts.bytes === 0 && chunk.subarray(0, MARK.length).equals(MARK)
    if (isMarked) this.#facts.cuts.push({rule: 'byte-order-mark', line: 1, text: '', from: 0, to: MARK.length})
    this.#facts.bytes += chunk.length
    this.#scanner.add(isMarked ? Buffer.concat([Buffer.alloc(MARK.length, ' '), chunk.subarray(MARK.length)]) : chunk)
  }

  end(): ScriptFacts {
    const open = this.#scanner.end()
    if (open !== undefined) this.#facts.open = open
    this.#facts.lines = this.#scanner.line
    for (const statements of this.#pending.values()) for (const {statement, why} of statements) this.#refuse(statement, why)
    this.#facts.refused.sort((a, b) => a.line - b.line)
    return this.#facts
  }

  #item(item: SqlItem): void {
    if (item.kind === 'comment') {
      this.#comment(item.text)
      return
    }
    if (item.kind === 'command') this.#command(item)
    else {
      this.#follow()
      if (item.kind === 'statement') this.#statement(item)
      else this.#rows(item)
    }
  }

  /** Whatever is run after pg_dump's last line. */
  #follow(): void {
    if (!this.#facts.complete) return
    this.#facts.complete = false
    this.#facts.more = true
  }

  #comment(text: string): void {
    const facts = this.#facts
    if (text === 'PostgreSQL database dump complete' || text === 'PostgreSQL database cluster dump complete') facts.complete = true
    if (facts.statements > 0) return
    if (text === 'PostgreSQL database dump') facts.madeBy ??= 'pg_dump'
    if (text === 'PostgreSQL database cluster dump') facts.madeBy ??= 'pg_dumpall'
    const [, what, version] = /^Dumped (from database|by pg_dump) version (\d[\w.]*)/.exec(text) ?? []
    if (what === 'from database' && version !== undefined) facts.serverVersion ??= version
    if (what === 'by pg_dump' && version !== undefined) facts.toolVersion ??= version
  }

  #command(item: Extract<SqlItem, {kind: 'command'}>): void {
    const judged = judgeCommand(item.text, item.insideStatement)
    if (judged.verdict === 'leave-out') this.#facts.cuts.push({rule: judged.rule, line: item.line, text: shownText(item.text), from: item.from, to: item.to})
    else if (judged.verdict === 'refuse') this.#refuse(item, judged.why)
    else this.#connect(item, judged.database)
  }

  #connect(item: Extract<SqlItem, {kind: 'command'}>, database: string): void {
    const made = this.#pending.get(database)?.find(({statement}) => nameBehind(statement.tokens, 'create', 'database') !== undefined)
    if (made) {
      this.#pending.delete(database)
      this.#facts.database ??= {name: database, tokens: made.statement.tokens}
    }
    if (this.#facts.database?.name !== database) this.#refuse(item, 'it connects elsewhere')
    this.#facts.cuts.push({rule: 'own-database', line: item.line, text: shownText(item.text), from: item.from, to: item.to})
  }

  #rows({line, rows, followed}: Extract<SqlItem, {kind: 'rows'}>): void {
    this.#facts.rows += rows
    if (followed) this.#refuse({line: line - 1, text: 'COPY … FROM stdin; …'}, 'something stands behind it on its line')
  }

  #statement(statement: SqlStatement): void {
    const facts = this.#facts
    const {tokens} = statement
    if (tokens.length === 0) return
    facts.statements += 1
    // There may be millions of them, and nothing else can be in one.
    const isInsert = tokens[0]?.text === 'insert' && tokens[2]?.text !== '`'
    this.#begun ||= isInsert
    if (isInsert || this.#ofDatabase(statement)) return
    const why = refusalOf(statement)
    if (why !== undefined) this.#refuse(statement, why)
    const omission = this.#drops(statement) ?? this.#schemaPublic(statement) ?? omissionOf(statement)
    if (omission) facts.cuts.push({...omission, line: statement.line, text: facts.cuts.length < MOST_REFUSED ? shownText(statement.text) : '', from: statement.from, to: statement.to})
    this.#note(statement)
  }

  #note(statement: SqlStatement): void {
    const facts = this.#facts
    const {tokens} = statement
    const [first] = tokens
    this.#scanner.plainStrings = stringsSetting(statement) ?? this.#scanner.plainStrings
    const encoding = encodingOf(statement)
    if (encoding !== undefined) facts.encoding ??= encoding
    if (encoding !== undefined && isUnsafeEncoding(encoding)) this.#refuse(statement, 'a script in this encoding cannot be read safely: convert it to UTF-8')
    if (first?.text === 'create' || first?.text === 'alter') facts.definitions += 1
    if (/^create (unlogged )?table\b/.test(shapeOf(tokens.slice(0, 3)))) facts.tables += 1
    const extension = nameBehind(tokens, 'create', 'extension')
    if (extension !== undefined && !facts.extensions.includes(extension)) facts.extensions.push(extension)
    if (facts.notInTransaction === undefined && endsTransaction(statement)) facts.notInTransaction = {line: statement.line, text: shownText(statement.text)}
    noteRoles(tokens, facts.roles)
  }

  /** Statements about a database by its name, as `pg_dump --create` writes them: none may reach the one that has this name here. */
  #ofDatabase(statement: SqlStatement): boolean {
    const {tokens} = statement
    const name = nameBehind(tokens, 'create', 'database') ?? nameBehind(tokens, 'drop', 'database')
    if (name !== undefined) this.#pending.set(name, [...(this.#pending.get(name) ?? []), {statement, why: refusalOf(statement) ?? ''}])
    const isAbout = name !== undefined || /^(alter database|comment on database|security label .*\bon database|(grant|revoke) .* on database|alter (role|user) (\S+) in database|update pg_catalog \. pg_database)\b/.test(shapeOf(tokens))
    if (isAbout) this.#facts.cuts.push({rule: 'own-database', line: statement.line, text: shownText(statement.text), from: statement.from, to: statement.to})
    return isAbout
  }

  #drops(statement: SqlStatement): Omission | undefined {
    const shape = shapeOf(statement.tokens)
    if (/^drop schema\b/.test(shape) && nameBehind(statement.tokens, 'drop', 'schema') === 'public') this.#dropsPublic = true
    if (!this.#begun && isDrop(statement)) return {rule: 'drop-first'}
    this.#begun ||= !/^(set|select pg_catalog \. set_config|drop)\b/.test(shape)
    return undefined
  }

  #schemaPublic({tokens}: SqlStatement): Omission | undefined {
    const isIt = !this.#dropsPublic && tokens.length === 3 && nameBehind(tokens, 'create', 'schema') === 'public'
    return isIt ? {rule: 'schema-public'} : undefined
  }

  #refuse({line, text}: ShownLine, why: string): void {
    if (this.#facts.refused.length < MOST_REFUSED) this.#facts.refused.push({line, text: shownText(text), why})
  }
}
