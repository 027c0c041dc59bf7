import type {Finding} from '../checks/finding.ts'
import {findingLines} from './findings.ts'
import {bytes, count, duration, number} from './format.ts'
import {oneLine} from './text.ts'
import {outTheme as theme} from './theme.ts'
import {wrapped} from './wrap.ts'

const MOST_LINES = 40

/** One verified place, as far as it is shown. */
export interface ShownVerification {
  kind: 'backup' | 'foreign'
  label: string
  storage: string
  level: string
  ok: boolean | null
  extent: string
  findings: readonly Finding[]
  members: number
  bytes: number
  timings: readonly {phase: string; ms: number}[]
}

/** What is to be told of each, and the verdict in one line; `several` also says where it lies. */
export function* verificationLines(shown: ShownVerification, {several, width}: {several: boolean; width: number | undefined}): Generator<string> {
  const findings = shown.findings.some(({severity}) => severity !== 'ok') ? shownFindings(shown.findings) : []
  for (const line of findings) yield* wrapped(line, width, '       ')
  yield* wrapped(verdict(shown, several), width)
}

function* shownFindings(findings: readonly Finding[]): Generator<string> {
  const lines = [...findingLines(findings, {theme})]
  const totals = lines.at(-1) ?? ''
  if (lines.length <= MOST_LINES) yield* lines
  else yield* [...lines.slice(0, MOST_LINES), `and ${number(lines.length - 1 - MOST_LINES)} more lines: --json tells everything`, totals]
}

/** `checked` after a quick look: only reading every byte makes a backup `verified`. */
function verdict({kind, label, storage, ok, extent, findings, members, bytes: read, timings}: ShownVerification, several: boolean): string {
  const name = `${oneLine(label)}${several ? ` (${storage})` : ''}`
  const wrong = findings.filter(({severity}) => severity === 'error').length
  const word = ok === true ? theme.severity.ok(extent === 'quick' ? 'checked' : 'verified') : theme.severity.error(`is not good, ${count(wrong, 'error')}`)
  const all = timings.find(({phase}) => phase === 'all')?.ms ?? 0
  const figures = [...(kind === 'backup' ? [count(members, 'member')] : []), bytes(read), duration(all)].join(', ')
  return kind === 'backup' ? `${name} ${word}: ${extent}, ${figures}` : `${name} ${word}: ${figures}; ${extent}`
}
