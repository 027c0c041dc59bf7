import {quoteIdent} from '../quote.ts'

const NAME = String.raw`(?:"(?:[^"]|"")*"|[^\s"().,]+)`
const STATEMENT = new RegExp(String.raw`^COPY (?:${NAME}\.)?${NAME} (?:\((.*)\) )?FROM stdin;\s*$`, 's')

/** The columns that an archive's `COPY t (a, "B") FROM stdin;` names, in its order; undefined when it is no such statement. */
export function copyColumns(statement: string | undefined): string[] | undefined {
  // pg_dump writes two spaces where a table has no columns.
  const match = STATEMENT.exec((statement ?? '').replace(/ {2}FROM stdin;\s*$/, ' FROM stdin;'))
  if (match === null) return undefined
  return [...(match[1] ?? '').matchAll(new RegExp(NAME, 'g'))].map(([name]) => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name))
}

export const columnList = (columns: readonly string[]): string => (columns.length === 0 ? '' : ` (${columns.map(quoteIdent).join(', ')})`)
