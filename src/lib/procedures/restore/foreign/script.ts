import type {Finding} from '../../../checks/finding.ts'
import {verificationError} from '../../../errors.ts'
import {omissionWords, type Omission} from '../../../postgres/sql/rules.ts'
import type {Cut, ScriptFacts} from '../../../postgres/sql/script.ts'
import type {ServerFacts} from '../../../postgres/server.ts'
import {damaged} from './receive.ts'

const OPEN: Readonly<Record<NonNullable<ScriptFacts['open']>, string>> = {
  rows: 'in the middle of the rows of a table', statement: 'in the middle of a statement', quote: 'inside of quotes', comment: 'inside of a comment',
}
const MOST_SHOWN = 5

/** Throws (exit 4) when a script is cut off, or must not be run. */
export function refuseScript(script: ScriptFacts, location: string): void {
  const {refused: [first, ...more]} = script
  // Cut off inside of something, it may have been read wrongly.
  if (script.open !== undefined && first === undefined) throw damaged(location, `it is cut off ${OPEN[script.open]}, at line ${script.lines}`)
  if (first) {
    throw verificationError('restore.sql-refused', `${location}, line ${first.line}: ${first.text} - is refused: ${first.why}.`, {
      hints: [...more.slice(0, MOST_SHOWN).map(({line, text, why}) => `Line ${line}: ${text} - ${why}`), 'If the file is from where you think: take these lines out of it, and restore what is left.'],
    })
  }
  if (script.statements === 0) throw verificationError('restore.not-a-dump', `${location} holds no statement.`, {hints: ['dr list shows the backups and the dumps that are there.']})
  if (script.madeBy === 'pg_dump' && !script.complete && !script.more) throw damaged(location, `it does not end with the line «-- PostgreSQL database dump complete», at line ${script.lines}: it is cut off`)
}

/** Whether this is left out on this server. */
export const isCut = ({beforeMajor, unlessSuperuser}: Omission, {major, superuser}: Pick<ServerFacts, 'major' | 'superuser'>): boolean =>
  (beforeMajor === undefined || major < beforeMajor) && (unlessSuperuser !== true || !superuser)

/** What is left out, and what is odd, in words. */
export function scriptFindings(script: ScriptFacts, server: Pick<ServerFacts, 'major' | 'superuser'>): Finding[] {
  const cuts = script.cuts.filter((cut) => !['restrict', 'byte-order-mark'].includes(cut.rule) && isCut(cut, server))
  const rules = [...new Set(cuts.map(({rule}) => rule))]
  return [
    ...(script.madeBy === 'pg_dump' && script.complete ? [] : [unknownEnd(script)]),
    ...rules.map((rule) => leftOut(rule, cuts.filter((cut) => cut.rule === rule))),
  ]
}

function unknownEnd({more, madeBy}: ScriptFacts): Finding {
  const message = more ? "something follows pg_dump's last line; it is restored, too" : madeBy === undefined ? 'it does not say that pg_dump made it, so whether its end is missing cannot be told' : 'its end is not that of pg_dump'
  return {code: 'restore.dump-end', severity: 'warning', subject: '', message}
}

function leftOut(rule: Omission['rule'], cuts: readonly Cut[]): Finding {
  const shown = cuts.filter(({text}) => text !== '').slice(0, MOST_SHOWN).map(({line, text}) => `line ${line}: ${text}`)
  const more = cuts.length > shown.length ? `; and ${cuts.length - shown.length} more` : ''
  return {code: `restore.left-out`, severity: 'info', subject: rule, message: `left out: ${omissionWords[rule]} (${shown.join('; ')}${more})`}
}
