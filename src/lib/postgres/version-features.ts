import type {Archive, ArchiveEntry} from './archive.ts'
import {entryName} from './restore-lists.ts'

/** Something that older servers refuse. */
export interface Feature {
  id: string
  /** The first major that knows it. */
  since: number
  words: string
  /** `text` is the definition without strings, quoted names, bodies and comments. */
  in(entry: ArchiveEntry, text: string): boolean
}

const kind = (...kinds: readonly string[]) => ({kind: one}: ArchiveEntry) => kinds.includes(one)
const isTable = kind('TABLE', 'FOREIGN TABLE')
const isIndex = kind('INDEX', 'CONSTRAINT')
const isAcl = kind('ACL', 'DEFAULT ACL')
const isView = kind('VIEW', 'MATERIALIZED VIEW')
const isRoutine = kind('FUNCTION', 'PROCEDURE')

export const FEATURES: readonly Feature[] = [
  {id: 'virtual-columns', since: 18, words: 'virtual generated columns', in: (entry, text) => isTable(entry) && /GENERATED ALWAYS AS \(\)(?! STORED)/.test(withoutParentheses(text, /GENERATED ALWAYS AS $/))},
  {id: 'without-overlaps', since: 18, words: 'keys WITHOUT OVERLAPS', in: (entry, text) => kind('CONSTRAINT')(entry) && /\bWITHOUT OVERLAPS\b/.test(text)},
  {id: 'period', since: 18, words: 'foreign keys with PERIOD', in: (entry, text) => kind('FK CONSTRAINT')(entry) && /\bPERIOD \S/.test(text)},
  {id: 'not-null-constraints', since: 18, words: 'NOT NULL as a constraint of the table (NO INHERIT, NOT VALID)', in: (entry, text) => (isTable(entry) && /NOT NULL (?:NO INHERIT|\S+ NO INHERIT)|CONSTRAINT \S+ NOT NULL [^\s,)]/.test(text)) || (kind('CONSTRAINT', 'CHECK CONSTRAINT')(entry) && /ADD CONSTRAINT \S+ NOT NULL /.test(text))},
  {id: 'not-enforced', since: 18, words: 'constraints that are NOT ENFORCED', in: (entry, text) => kind('TABLE', 'CONSTRAINT', 'CHECK CONSTRAINT', 'FK CONSTRAINT')(entry) && /\bNOT ENFORCED\b/.test(text)},
  {id: 'uuidv7', since: 18, words: 'the functions uuidv4() and uuidv7()', in: (entry, text) => kind('TABLE', 'DEFAULT', 'VIEW', 'MATERIALIZED VIEW')(entry) && /(?<![\w."])uuidv[47]\(/.test(text)},
  {id: 'maintain', since: 17, words: 'the privilege MAINTAIN', in: (entry, text) => isAcl(entry) && /\bMAINTAIN\b/.test(text)},
  {id: 'builtin-collations', since: 17, words: 'collations of the server itself (builtin)', in: (entry, text) => kind('COLLATION')(entry) && /provider = builtin/i.test(text)},
  {id: 'json-table', since: 17, words: 'JSON_TABLE, JSON_VALUE, JSON_QUERY, JSON_EXISTS', in: (entry, text) => isView(entry) && /\bJSON_(?:TABLE|VALUE|QUERY|EXISTS)\s*\(/.test(text)},
  {id: 'json-constructors', since: 16, words: 'SQL/JSON constructors and IS JSON', in: (entry, text) => kind('VIEW', 'MATERIALIZED VIEW', 'TABLE', 'CHECK CONSTRAINT')(entry) && /\bJSON_(?:OBJECT|ARRAY|OBJECTAGG|ARRAYAGG)\s*\(|\bIS (?:NOT )?JSON\b/.test(text)},
  {id: 'collation-rules', since: 16, words: 'collations with rules', in: (entry, text) => kind('COLLATION')(entry) && /\brules = /.test(text)},
  {id: 'subscription-options', since: 16, words: 'the options that pg_dump writes for subscriptions', in: (entry, text) => kind('SUBSCRIPTION')(entry) && /\brun_as_owner\b/.test(text)},
  {id: 'nulls-not-distinct', since: 15, words: 'NULLS NOT DISTINCT', in: (entry, text) => isIndex(entry) && /\bNULLS NOT DISTINCT\b/.test(text)},
  {id: 'security-invoker', since: 15, words: 'views with security_invoker', in: (entry, text) => isView(entry) && /\bsecurity_invoker\b/.test(text)},
  {id: 'set-null-columns', since: 15, words: 'ON DELETE SET NULL of some columns', in: (entry, text) => kind('FK CONSTRAINT')(entry) && /ON DELETE SET (?:NULL|DEFAULT) \(/.test(text)},
  {id: 'publication-filters', since: 15, words: 'publications of rows, columns or schemas', in: (entry, text) => kind('PUBLICATION TABLES IN SCHEMA')(entry) || (kind('PUBLICATION TABLE')(entry) && /ADD TABLE ONLY [^;]*\(/.test(text))},
  {id: 'multiranges', since: 14, words: 'range types with a multirange', in: (entry, text) => kind('TYPE')(entry) && /\bmultirange_type_name\b/.test(text)},
  {id: 'column-compression', since: 14, words: 'the compression of a column', in: (entry, text) => kind('TABLE', 'MATERIALIZED VIEW')(entry) && /\bSET COMPRESSION \w/.test(text)},
  {id: 'sql-bodies', since: 14, words: 'functions with a body in SQL', in: (entry, text) => isRoutine(entry) && /\bBEGIN ATOMIC\b|\n\s*RETURN \S/.test(text)},
]

export interface BeyondServer {
  feature: Feature
  /** The names of the entries that need it. */
  entries: string[]
}

/** What the archive needs, and a server of this major does not know. Found in the definitions, so a word in an unusual place can mislead: it is for warnings. */
export function featuresBeyond(archive: Archive, serverMajor: number): BeyondServer[] {
  const features = FEATURES.filter(({since}) => since > serverMajor)
  if (features.length === 0) return []
  const texts = archive.entries.map((entry) => ({entry, text: bare(entry.definition)}))
  return features.flatMap((feature) => {
    const entries = texts.filter(({entry, text}) => feature.in(entry, text)).map(({entry}) => entryName(entry))
    return entries.length === 0 ? [] : [{feature, entries}]
  })
}

/** Strings, bodies and comments say nothing of the server; a quoted name stays a name. */
const bare = (sql: string): string => sql.replaceAll(/\$(\w*)\$[\s\S]*?\$\1\$|[eE]'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|--[^\n]*/g, "''").replaceAll(/"(?:[^"]|"")*"/g, 'quoted')

/** With `()` for each pair of parentheses that follows `after`, whatever is nested in it. */
function withoutParentheses(text: string, after: RegExp): string {
  let out = ''
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '(' || !after.test(out)) {
      out += text[at] ?? ''
      continue
    }
    let depth = 0
    do {
      if (text[at] === '(') depth++
      else if (text[at] === ')') depth--
      at++
    } while (depth > 0 && at < text.length)
    out += '()'
    at--
  }
  return out
}
