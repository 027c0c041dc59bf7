import {SqlScanner} from './scanner.ts'
import {shownText, type ShownLine} from './script.ts'
import {stringsSetting} from './rules.ts'
import type {SqlStatement} from './tokens.ts'

/** The statement that holds a line of a script, or whose rows do. */
export async function statementAt(source: AsyncIterable<Buffer>, line: number): Promise<ShownLine | undefined> {
  let last: SqlStatement | undefined
  let found: SqlStatement | undefined
  const scanner = new SqlScanner((item) => {
    if (item.kind === 'statement') {
      last = item
      scanner.plainStrings = stringsSetting(item) ?? scanner.plainStrings
    }
    if (item.kind !== 'comment' && item.kind !== 'command' && found === undefined && item.endLine >= line) found = last
  })
  for await (const chunk of source) {
    scanner.add(chunk)
    if (found !== undefined) break
  }
  if (found === undefined) scanner.end()
  const statement = found ?? last
  return statement && {line: statement.line, text: shownText(statement.text)}
}
