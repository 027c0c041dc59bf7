import type {Collation} from '../create-database.ts'
import {SqlScanner} from './scanner.ts'
import type {SqlStatement, Token} from './tokens.ts'

/** What `CREATE DATABASE` says of a database's text. */
export interface DatabaseText {
  encoding?: string
  collation?: Collation
}

/** `tokens` of a CREATE DATABASE as pg_dump writes it. */
export function databaseText(tokens: readonly Token[]): DatabaseText {
  const options = new Map<string, string>()
  for (const [at, {kind, text}] of tokens.entries()) {
    const equals = tokens[at + 1]?.text === '='
    const value = tokens[at + (equals ? 2 : 1)]
    if (kind === 'word' && value !== undefined && value.kind !== 'symbol' && !options.has(text)) options.set(text, value.text)
  }
  const encoding = options.get('encoding')
  const collate = options.get('lc_collate') ?? options.get('locale')
  const ctype = options.get('lc_ctype') ?? options.get('locale')
  const provider = options.get('locale_provider') ?? 'libc'
  const locale = options.get('icu_locale') ?? options.get('builtin_locale')
  return {
    ...(encoding !== undefined && {encoding}),
    ...(collate !== undefined && ctype !== undefined && {collation: {provider, collate, ctype, ...(locale !== undefined && {locale})}}),
  }
}

/** The statements of a short text, such as an entry of an archive. */
export function statementsOf(sql: string): SqlStatement[] {
  const found: SqlStatement[] = []
  const scanner = new SqlScanner((item) => { if (item.kind === 'statement') found.push(item) })
  scanner.add(Buffer.from(sql))
  scanner.end()
  return found
}
